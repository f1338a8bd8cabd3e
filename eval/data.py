"""Which images and annotations a run is over: the built-in benchmark, or COCO from files."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.metric import CocoAp, Metric
from shared import coco, image
from shared.coco import Dataset, ImageRecord
from shared.errors import UserError, unknown
from shared.top_down import Boxes

# The list of 1160 images of val2014 on which the paper reports; caffe_rtpose publishes it under this name.
LIST_1160 = "image_info_val2014_1k.txt"
_LIST_SHA256 = "820bc27c"  # its beginning
_SUBSETS = ("1160", "2693", "5000")


@dataclass(frozen=True)
class Data:
    """A data set that is ready to run: its annotations, how to read an image, what identifies it, and its metric.

    `boxes`: by image id, where top-down networks have no choice of boxes.
    """

    dataset: Dataset
    read: Callable[[ImageRecord], np.ndarray]
    identity: Mapping[str, Any]
    metric: Metric
    boxes: Mapping[int, Boxes] | None = None


def builtin(seed: int = 0) -> Data:
    """The validation split of the built-in benchmark, drawn in memory."""
    from shared.scenes import dataset

    split = "val"
    loaded = coco.load(dataset.annotations(split, seed=seed))
    identity = {"name": "builtin", "version": dataset.VERSION, "split": split, "seed": seed}
    return Data(loaded, lambda record: dataset.read(split, record.id - 1, seed=seed), identity, CocoAp(loaded.raw))


def from_files(annotations: Path | None, images: Path | None) -> Data:
    """COCO keypoints: the published JSON and a folder of pictures."""
    if annotations is None or images is None:
        raise UserError("--data coco needs --annotations FILE and --images DIR; leave --data out for the built-in one")
    if not images.is_dir():
        raise UserError(f"--images {images}: no such folder; expected the folder of the pictures")
    loaded = coco.load(annotations, images)
    digest = hashlib.sha256(annotations.read_bytes()).hexdigest()
    identity = {"name": "coco", "annotations": annotations.name, "annotations_sha256": digest}
    return Data(loaded, read_file, identity, CocoAp(loaded.raw))


def read_file(record: ImageRecord) -> np.ndarray:
    """The picture of a record; a `UserError` if it has not the size that was annotated (0: none was)."""
    assert record.path is not None
    found = image.read(record.path)
    if record.height and found.shape[:2] != (record.height, record.width):
        raise UserError(
            f"{record.path}: {found.shape[1]}x{found.shape[0]} px, but the annotations say "
            f"{record.width}x{record.height}; give the pictures that belong to them"
        )
    return found


def subset(data: Data, name: str | None, annotations: Path | None) -> tuple[str, list[ImageRecord]]:
    """The images of a named subset, or of a file with image ids, or all; with the name for the protocol."""
    records = list(data.dataset.images)
    if name is None:
        return "all", records
    if name in _SUBSETS:
        if data.identity["name"] != "coco":
            raise UserError(f"--subset {name}: is one of COCO's; give --data coco with its annotations and images")
        return name, _published(name, records, data.dataset, annotations)
    path = Path(name)
    if not path.is_file():
        raise unknown("--subset", name, (*_SUBSETS, "or a file of image ids"))
    return "listed", _by_id(_ids(path), records, path)


def _published(name: str, records: list[ImageRecord], dataset: Dataset, annotations: Path | None) -> list[ImageRecord]:
    if name == "1160":
        assert annotations is not None
        path = annotations.with_name(LIST_1160)
        if not path.is_file():
            raise UserError(f"--subset 1160: no {LIST_1160} beside {annotations.name}; get it from caffe_rtpose")
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(_LIST_SHA256):
            raise UserError(f"{path}: is not the published list (its sha256 begins {_LIST_SHA256}); get it again")
        return _by_id(_ids(path), records, path)
    chosen = records if name == "5000" else [r for r in records if dataset.persons(r.id)]
    if len(records) != 5000 or len(chosen) != int(name):
        raise UserError(
            f"--subset {name}: is of val2017's 5000 images (2693 have people); found {len(records)} and {len(chosen)}; "
            "give person_keypoints_val2017.json, or leave --subset out"
        )
    return chosen


def _ids(path: Path) -> list[int]:
    """Image ids of a file: one a line, or the five columns of the published list (number, id, name, height, width)."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        columns = line.split()
        if columns:
            value = columns[1] if len(columns) == 5 else columns[0]
            if len(columns) not in (1, 5) or not value.isdecimal():
                raise UserError(f"{path}, line {number}: {line[:40]!r}; expected an image id, or five columns")
            found.append(int(value))
    if not found or len(set(found)) != len(found):
        raise UserError(f"{path}: {len(found)} ids, {len(set(found))} of them different; expected each image once")
    return found


def _by_id(ids: list[int], records: list[ImageRecord], path: Path) -> list[ImageRecord]:
    known = {record.id: record for record in records}
    strange = [i for i in ids if i not in known]
    if strange:
        raise UserError(f"{path}: {len(strange)} of {len(ids)} ids are not in the annotations, first {strange[0]}")
    return [known[i] for i in sorted(ids)]
