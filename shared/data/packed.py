"""Training data in one file: images as they are, masks and annotations in one HDF5 file, and back.

The layout is that of `shared.data.packing`, which makes the file: `pack` is the whole of it.
"""

import gzip
import hashlib
import json
import os
import weakref
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared import image
from shared.data.columns import cache_folder
from shared.data.packing import FORMAT, LEAST, ROW, pack
from shared.errors import UserError
from shared.hdf5 import opened
from shared.image import Encoded
from shared.weights import replacing, sha256

__all__ = ["Packed", "pack", "verify"]

WHAT = f"a packed data set ({FORMAT}, python -m shared.data pack)"


def verify(path: Path) -> None:
    """Compare everything in a packed file with its checksums, and decode every picture and mask.

    Raises `UserError`, which names the first bad one.
    """
    packed = Packed(path)
    listed = sorted((entry["id"], entry["file_name"]) for entry in packed.annotations()["images"])
    if listed != list(zip(packed.ids, packed.names, strict=True)):
        raise UserError(f"{path}: its list of images is not that of its annotations; pack it again")
    for identity in packed.ids:
        packed.image(identity)
        packed.mask(identity)


class Packed:
    """A packed file, read in any order; every image and mask is compared with its checksum when it is read.

    Safe in several threads and processes, forked or not; pickles as its path.  `ids` and `names` are those of the
    images, in the order of the ids.  Raises `UserError` for a file that is broken, cut off, unfinished or another.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            with opened(self.path, WHAT) as file:
                self.ids, self.names = self._understand(file)
        except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(f"{path}: {reason}; expected {WHAT}; pack it again") from None
        self._place = {identity: place for place, identity in enumerate(self.ids)}
        self._by_name = dict(zip(self.names, self.ids, strict=True))
        self._file = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[type["Packed"], tuple[Path]]:
        return Packed, (self.path,)

    def __len__(self) -> int:
        return len(self.ids)

    def annotations(self) -> Mapping[str, Any]:
        """The annotation file."""
        return json.loads(self._text())

    def annotations_file(self) -> Path:
        """The annotation file as a file, in the cache folder."""
        path = cache_folder() / f"{self.annotations_sha256}.json"
        if not path.is_file() or sha256(path) != self.annotations_sha256:
            try:
                with replacing(path) as temporary:
                    temporary.write_bytes(self._text())
            except OSError as error:
                raise UserError(
                    f"{path}: {error.strerror}; expected to keep the annotations of {self.path.name} there; "
                    "set POSE_CACHE to a folder with more room"
                ) from None
        return path

    def require(self, names: Sequence[str]) -> None:
        """A `UserError` if images of these names are not all in the file."""
        missing = [name for name in names if name not in self._by_name]
        if missing:
            raise UserError(
                f"{self.path}: {len(missing)} of {len(names)} images are not in it, first {missing[0]}; "
                "pack it with these annotations"
            )

    def _text(self) -> bytes:
        try:
            text = gzip.decompress(self._read(*self._annotations, "the annotations"))
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self.path}: its annotations are damaged ({error}); pack it again") from None
        if hashlib.sha256(text).hexdigest() != self.annotations_sha256:
            raise UserError(f"{self.path}: its annotations do not match their sha256; pack it again")
        return text

    def image_bytes(self, identity: int) -> bytes:
        """The image file with this id."""
        row, name = self._row(identity)
        return self._record(row["start"], row["image"], row["image_sha256"], name)

    def mask_bytes(self, identity: int) -> bytes:
        """The mask's PNG file; empty where the loss counts everywhere."""
        row, name = self._row(identity)
        return self._record(row["start"] + row["image"], row["mask"], row["mask_sha256"], f"the mask of {name}")

    def image(self, identity: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, as `shared.image.read`."""
        return self._encoded(identity).decode()

    def mask(self, identity: int) -> np.ndarray | None:
        """(H, W) uint8, 255 where the loss counts and 0 where it does not; None where it counts everywhere."""
        data = self.mask_bytes(identity)
        return np.ascontiguousarray(image.decode(data, f"{self.path}: a mask")[..., 0]) if data else None

    def encoded(self, file_name: str) -> Encoded:
        """The image with this COCO file name, not decoded yet."""
        if file_name not in self._by_name:
            raise UserError(f"{self.path}: no image {file_name!r} among its {len(self)}; give the file that has it")
        return self._encoded(self._by_name[file_name])

    def read(self, file_name: str) -> np.ndarray:
        """The image with this COCO file name, (H, W, 3) uint8 RGB."""
        return self.encoded(file_name).decode()

    def identity(self) -> Mapping[str, object]:
        """What the images, masks and annotations depend on: `contents_sha256` is over all their checksums."""
        digest = hashlib.sha256(self._rows.tobytes()).hexdigest()
        return {"name": "packed", "annotations_sha256": self.annotations_sha256, "contents_sha256": digest}

    def _understand(self, file: h5py.File) -> tuple[list[int], list[str]]:
        """Check the file's structure; note where things are; give the ids and names of the images."""
        if file.attrs["format"] != FORMAT:
            raise ValueError(f"the format is {file.attrs['format']!r}")
        self.annotations_sha256 = str(file.attrs["annotations_sha256"])
        n_file = self.path.stat().st_size
        rows, *arrays = (file[name] for name in ("rows", "annotations", "images", "bytes"))
        if rows.dtype != ROW or any(a.dtype != np.uint8 or a.ndim != 1 for a in arrays):
            raise ValueError("arrays of other types")
        if any(a.id.get_offset() is None or a.nbytes > n_file for a in (rows, *arrays)):
            raise ValueError("arrays that are not in the file in one piece")
        self._annotations, _, (self._start, n_bytes) = ((a.id.get_offset(), len(a)) for a in arrays)
        ids, names = map(list, zip(*json.loads(bytes(arrays[1][()])), strict=True))
        self._rows = rows[()]
        lengths = self._rows["image"] + self._rows["mask"]
        ends = np.cumsum(lengths)
        if len(ids) != len(ends) or (ends - lengths != self._rows["start"]).any() or max(ends[-1], LEAST) != n_bytes:
            raise ValueError(f"{len(ids)} images and {len(ends)} rows do not fill {n_bytes} bytes")
        if max(self._rows["image"].max(), self._rows["mask"].max()) > n_bytes or self._start + n_bytes != n_file:
            raise ValueError(f"{n_file} bytes, which is not what the rows say")
        return ids, names

    def _encoded(self, identity: int) -> Encoded:
        return image.encoded(self.image_bytes(identity), f"{self.path}: {self._row(identity)[1]}")

    def _row(self, identity: int) -> tuple[np.void, str]:
        if identity not in self._place:
            raise UserError(
                f"{self.path}: no image with the id {identity} among its {len(self)}; is it the right file?"
            )
        place = self._place[identity]
        return self._rows[place], self.names[place]

    def _record(self, start: int, length: int, digest: np.ndarray, name: str) -> bytes:
        data = self._read(self._start + int(start), int(length), name)
        if hashlib.sha256(data).digest() != digest.tobytes():
            raise UserError(f"{self.path}: {name} does not match its sha256; the file is damaged; pack it again")
        return data

    def _read(self, start: int, length: int, name: str) -> bytes:
        try:
            data = os.pread(self._file, length, start)  # has no position, so threads and forks do not disturb it
        except OSError as error:
            raise UserError(f"{self.path}: {name}: {error.strerror}; expected a file that can be read") from None
        if len(data) != length:
            raise UserError(f"{self.path}: {name} is cut off, {len(data)} of {length} bytes; pack it again")
        return data
