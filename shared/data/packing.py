"""Packing training data: images as they are, masks and annotations in one HDF5 file.

    block        512 bytes of text: the format, and a sha256 of what is packed and how
    annotations  gzip of the annotation file
    images       JSON, [id, file name] of every image, in the order of the ids
    rows         where every image and its mask lie in `bytes`, and their sha256
    bytes        image, mask, image, mask, ...: the files themselves, PNG for masks, no mask where nothing is masked

The same input gives the same bytes (with the same h5py, zlib and OpenCV): there are no times in the file, and
`bytes` comes last, so that everything before it has a known length and packing only ever appends.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import h5py
import numpy as np

from shared import coco, image
from shared.coco import ImageRecord
from shared.data.index import Index
from shared.data.masks import loss_mask
from shared.errors import UserError

FORMAT = "pose-packed-1"
_BLOCK = 512  # HDF5's smallest user block
ROW = np.dtype(
    [("start", "<u8"), ("image", "<u8"), ("mask", "<u8"), ("image_sha256", "u1", 32), ("mask_sha256", "u1", 32)]
)
_FLUSH = 64  # images
LEAST = 1 << 16  # length of `bytes`: HDF5 puts shorter arrays elsewhere

Progress = Callable[[int, int], None]


def pack(annotations: Path, images: Path, out: Path, progress: Progress | None = None) -> None:
    """Pack a COCO keypoint annotation file and its pictures into `out`, with masks by the rule "paper".

    `progress` is told how many images are done, of how many.  Work is in `out`.part: killed at any point and called
    again, it goes on there, and the file at the end is the same.  What is there already is compared with its checksum
    and with the image; from the first difference on it is packed again.

    Raises `UserError` for annotations and pictures that are not whole, a picture of another size than annotated, a
    .part file of other annotations, another packing at work, and a full disk; what was packed stays in .part.
    """
    if out.is_dir() or (out.exists() and out.samefile(annotations)):
        raise UserError(f"{out}: is a folder or the annotations themselves; expected a new file; choose another")
    index = Index.open(annotations)
    records = _records(index, images)
    rows_of = dict(zip(index.image_ids.tolist(), map(index.rows, range(len(records))), strict=True))
    part = out.with_name(out.name + ".part")
    try:
        head = _Head.of(annotations, records)
        with _alone(part) as file:
            table = _Table(file, head, part)
            for done, record in enumerate(records, start=1):
                data = _checked(record)
                if not table.kept(data):
                    table.append(data, _mask(index, rows_of[record.id], record))
                if progress is not None:
                    progress(done, len(records))
            table.finish()
            part.replace(out)
    except OSError as error:
        raise UserError(
            f"{part}: {error.strerror or error}; expected room for {len(records)} images; what is packed "
            "stays in it: make room, then run the same again"
        ) from None


@dataclass(frozen=True)
class _Head:
    """Everything before `bytes`."""

    annotations: bytes  # gzip
    annotations_sha256: str
    images: bytes

    @classmethod
    def of(cls, annotations: Path, records: Sequence[ImageRecord]) -> "_Head":
        text = annotations.read_bytes()
        images = json.dumps([[record.id, record.file_name] for record in records], separators=(",", ":"))
        return cls(gzip.compress(text, mtime=0), hashlib.sha256(text).hexdigest(), images.encode())

    def block(self, n_images: int) -> bytes:
        """The file's first bytes: other input, another block."""
        built, _ = self.build(np.zeros(n_images, ROW), 1 << 40, b"")
        return f"{FORMAT}\n{_sha256(built).hex()}\n".encode().ljust(_BLOCK, b"\0")

    def build(self, rows: np.ndarray, n_bytes: int, block: bytes) -> tuple[bytes, int]:
        """The file up to `bytes`, which will be `n_bytes` long, and the place of the rows in it."""
        memory = _Memory()
        with h5py.File(memory, "w", userblock_size=_BLOCK) as file:
            file.attrs["format"] = FORMAT
            file.attrs["annotations_sha256"] = self.annotations_sha256
            file.create_dataset("annotations", data=np.frombuffer(self.annotations, np.uint8), track_times=False)
            file.create_dataset("images", data=np.frombuffer(self.images, np.uint8), track_times=False)
            place = file.create_dataset("rows", data=rows, track_times=False).id.get_offset()
            options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # a place now,
            options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # and nothing in it
            options.set_obj_track_times(False)
            space = h5py.h5s.create_simple((max(n_bytes, LEAST),))
            start = h5py.h5d.create(file.id, b"bytes", h5py.h5t.STD_U8LE, space, options).get_offset()
        built = block + memory.getvalue()[len(block) :]
        assert len(built) == start, "HDF5 put something after the images"
        return built, place


class _Memory(io.BytesIO):
    """A file in memory in which HDF5 cannot make room for the images."""

    def truncate(self, size: int | None = None) -> int:
        return len(self.getbuffer()) if size is None else size


class _Table:
    """The file at work: the block, the table of rows in its place, and the records that it lists."""

    def __init__(self, file: BinaryIO, head: _Head, part: Path) -> None:
        n = len(json.loads(head.images))
        self.file, self.head, self.block = file, head, head.block(n)
        built, self.place = head.build(np.zeros(n, ROW), 1 << 40, self.block)
        self.start = len(built)
        found = file.read(_BLOCK)
        if not self.block.startswith(found):
            raise UserError(
                f"{part}: is of other annotations or another version; expected what is left of the same packing; "
                "delete it or choose another name for the packed file"
            )
        file.seek(self.place)
        table = file.read(n * ROW.itemsize) if len(found) == _BLOCK else b""
        self.old = np.frombuffer(table[: len(table) // ROW.itemsize * ROW.itemsize], ROW)
        self.rows = np.zeros(n, ROW)
        self.done = self.saved = self.end = 0
        file.seek(0)
        file.write(self.block)
        file.seek(self.start)

    def kept(self, data: bytes) -> bool:
        """Whether the next record is in the file already, whole, with this image; if so, step over it."""
        if self.done >= len(self.old):
            return False
        row = self.old[self.done]
        n_mask = int(row["mask"])
        if (row["start"], row["image"]) == (self.end, len(data)) and n_mask <= len(data) + image.MAX_PIXELS:
            image_bytes, mask = self.file.read(len(data)), self.file.read(n_mask)
            if image_bytes == data and len(mask) == n_mask:
                row = self._row(data, mask)
                if row == self.old[self.done]:
                    self._count(row)
                    return True
        self.old = self.old[:0]
        self.file.seek(self.start + self.end)
        return False

    def append(self, data: bytes, mask: bytes) -> None:
        self.old = self.old[:0]
        self.file.write(data)
        self.file.write(mask)
        self._count(self._row(data, mask))
        if self.done - self.saved >= _FLUSH:
            self._save()

    def finish(self) -> None:
        """Make the file an HDF5 file."""
        for length in (self.end, max(self.end, LEAST)):  # nothing old, then zeros
            self.file.truncate(self.start + length)
        self.file.seek(0)
        self.file.write(self.head.build(self.rows, self.end, self.block)[0])
        self.file.flush()
        os.fsync(self.file.fileno())

    def _row(self, data: bytes, mask: bytes) -> np.ndarray:
        row = np.zeros((), ROW)
        row["start"], row["image"], row["mask"] = self.end, len(data), len(mask)
        row["image_sha256"], row["mask_sha256"] = (np.frombuffer(_sha256(part), np.uint8) for part in (data, mask))
        return row

    def _count(self, row: np.ndarray) -> None:
        self.rows[self.done] = row
        self.done += 1
        self.end += int(row["image"]) + int(row["mask"])

    def _save(self) -> None:
        self.file.seek(self.place + self.saved * ROW.itemsize)
        self.file.write(self.rows[self.saved : self.done].tobytes())
        self.saved = self.done
        self.file.seek(self.start + self.end)
        self.file.flush()


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """The file, made if need be and open for changes, for one process only."""
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    with part.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{part}: another packing is at work on it; wait for it, or choose another name") from None
        yield file


def _records(index: Index, images: Path) -> tuple[ImageRecord, ...]:
    """The images in the order of their ids, their file names seen to be in the folder, and there."""
    columns = index.image_ids.tolist(), index.file_names.tolist(), index.sizes.tolist()
    entries = [{"id": i, "file_name": n, "height": h, "width": w} for i, n, (h, w) in zip(*columns, strict=True)]
    listed = {"images": entries, "annotations": [], "categories": [{"id": coco.PERSON}]}
    records = coco.load(listed, images).images
    coco.require_files(records)
    return records


def _checked(record: ImageRecord) -> bytes:
    assert record.path is not None
    data = image.contents(record.path)
    picture = image.encoded(data, record.path)
    height, width = picture.size
    if (height, width) != (record.height, record.width):
        raise UserError(
            f"{record.path}: {width}x{height} px, but the annotations say {record.width}x{record.height}; "
            "give the pictures that belong to them"
        )
    picture.check()
    return data


def _mask(index: Index, rows: np.ndarray, record: ImageRecord) -> bytes:
    """The mask of an image as a PNG of 1 bit; nothing if the loss counts everywhere."""
    segments = [index.segment(row) for row in rows]
    mask = loss_mask(record.height, record.width, segments, index.n_keypoints[rows], index.crowd[rows])
    if mask is None:
        return b""
    return cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
