"""What the published HDF5 training files have in common: numbered samples, and their people as JSON."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared.data.rules import v_of
from shared.errors import UserError
from shared.image import MAX_PIXELS
from shared.weights import existing

_EDGE = 1 << 20  # bytes at either end of a file that identify it


class SampleFile:
    """An HDF5 file of samples '%07d'.  Every process opens it for itself when it first reads; pickles as its path.

    Raises `UserError` for a file that is not whole HDF5 or has no samples in `group`, and where one is missing.
    """

    def __init__(self, path: Path, group: str, what: str) -> None:
        self.path, self.group, self.what = Path(path), group, what
        self._opened: tuple[int, h5py.File] | None = None
        existing(self.path, what)
        with self.told(str(path)):
            found = self._file().get(group)
            names = sorted(found) if isinstance(found, h5py.Group) else []
        self._first = int(names[0]) if names and names[0].isdecimal() else 0
        self._count = len(names)
        expected = [self._name(index) for index in range(len(names))]
        if not names or names != expected:
            strange = min(set(names) - set(expected), default="none")
            raise UserError(
                f"{path}: {len(names)} samples in {group!r}, first strange one {strange[:40]}; expected {what}, "
                "its samples numbered without a gap; get the whole file"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __len__(self) -> int:
        return self._count

    def identity(self) -> Mapping[str, object]:
        """Name, size, number of samples, and a sha256 of the first and last MiB only: such files have 200 GB."""
        n_bytes = self.path.stat().st_size
        with self.path.open("rb") as file:
            edges = file.read(_EDGE)
            file.seek(max(0, n_bytes - _EDGE))
            edges += file.read(_EDGE)
        digest = hashlib.sha256(edges).hexdigest()
        return {"file": self.path.name, "bytes": n_bytes, "samples": len(self), "edges_sha256": digest}

    def sample(self, index: int) -> tuple[str, str]:
        """The name of a sample in its group, and what to call it in errors."""
        name = self._name(range(len(self))[index])
        return name, f"{self.path}: sample {name}"

    def has(self, group: str) -> bool:
        """Whether there is such a group."""
        return group in self._file()

    def dataset(self, group: str, name: str, label: str) -> h5py.Dataset:
        """An array that is really in the file, and no larger than a picture may be."""
        folder = self._file().get(group)
        link = folder.get(name, getlink=True) if isinstance(folder, h5py.Group) else None
        found = folder[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(found, h5py.Dataset):
            raise UserError(f"{label}: no array {group}/{name} in the file; expected {self.what}; get it again")
        if found.is_virtual or found.external or found.nbytes > 8 * MAX_PIXELS or not found.id.get_storage_size():
            raise UserError(f"{label}: {group}/{name} {found.shape} was never written whole; get the file again")
        return found

    @contextmanager
    def told(self, label: str) -> Iterator[None]:
        """What h5py raises for a broken file, as a `UserError`."""
        try:
            yield
        except (OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{label}: cannot be read ({reason}); expected {self.what}; get the file again") from None

    def _name(self, index: int) -> str:
        return f"{self._first + index:07d}"

    def _file(self) -> h5py.File:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = None  # a fork's copy is closed first: two processes do not share one
            self._opened = os.getpid(), h5py.File(self.path, "r")
        return self._opened[1]


def parse(text: Any, label: str) -> Mapping[str, Any]:
    """The JSON object of a sample."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{label}: its JSON is not whole ({str(error)[:80]}); get the file again") from None
    if not isinstance(found, dict):
        raise UserError(f"{label}: its JSON is a {type(found).__name__}, expected an object; get the file again")
    return found


def people(meta: Mapping[str, Any], label: str) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 17, 3) in COCO's order with COCO's v, and boxes (P, 4), the main person first.

    The files store each person's `objpos`, the middle of the box, and `scale_provided`, its height / 368, but no
    box.  A box here has that middle and that height; its width is what the labelled keypoints span.

    jsonlab writes a list of one as its only element, so one person may come without the outer list: the numbers
    are taken in their order, and their count must be that of `numOtherPeople`.  `count` and `total_count` are not
    read: kevinlin's files have those of train and val exchanged.
    """
    try:
        joints = _numbers(meta["joints"]).reshape(-1, 17, 3)
        middles = _numbers(meta["objpos"]).reshape(-1, 2)
        scales = _numbers(meta["scale_provided"])
        n_people = int(meta.get("numOtherPeople", len(joints) - 1)) + 1
    except KeyError as error:
        raise UserError(f"{label}: no {error} in its JSON; expected joints, objpos and scale_provided") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{label}: its people are not understood ({str(error)[:100]}); get the file again") from None
    if not len(joints) == len(middles) == len(scales) == n_people > 0:
        raise UserError(
            f"{label}: joints of {len(joints)} people, objpos of {len(middles)}, scale_provided of {len(scales)} and "
            f"numOtherPeople + 1 = {n_people}; expected the same number, at least 1; get the file again"
        )
    if scales[0] <= 0 or (scales < 0).any():
        raise UserError(f"{label}: scale_provided {scales.min():g}, expected the height of a box / 368, above 0")
    points = joints.astype(np.float32)
    try:
        points[..., 2] = v_of(joints[..., 2])
    except UserError as error:
        raise UserError(f"{label}: {error}; get the file again") from None
    return points, _boxes(points, middles, scales)


def _boxes(points: np.ndarray, middles: np.ndarray, scales: np.ndarray) -> np.ndarray:
    x = np.ma.masked_array(points[..., 0], points[..., 2] == 0)
    widths = np.ma.filled(x.max(axis=1) - x.min(axis=1), 0)
    size = np.stack([widths, 368 * scales], axis=1)
    return np.concatenate([middles - size / 2, size], axis=1)


def _numbers(value: Any) -> np.ndarray:
    """All numbers in lists of lists, in their order, (N,) float64."""
    found: list[float] = []

    def collect(item: Any) -> None:
        if isinstance(item, list):
            for inner in item:
                collect(inner)
        elif type(item) in (int, float):
            found.append(float(item))
        else:
            raise TypeError(f"{item!r} is not a number")

    collect(value)
    numbers = np.array(found, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("NaN or infinity")
    return numbers
