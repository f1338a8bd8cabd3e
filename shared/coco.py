"""COCO keypoint annotations from a file, checked before anything is done with them."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from shared.errors import UserError
from shared.person import Person

N_VALUES = 51  # 17 keypoints with x, y, v
PERSON = 1  # COCO's category id


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.  `path` is None where images are drawn, not read."""

    id: int
    file_name: str
    height: int
    width: int
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in the order of their ids, their people, and the annotations as COCO has them (`raw`)."""

    images: tuple[ImageRecord, ...]
    raw: Mapping[str, Any]
    people: Mapping[int, list[Person]] = field(default_factory=dict)

    def persons(self, image_id: int) -> list[Person]:
        """The people of an image, crowds included."""
        return self.people.get(image_id, [])


def load(source: Path | Mapping[str, Any], images: Path | None = None) -> Dataset:
    """Read and check annotations; `images` is the folder of the pictures, None where there are no files.

    Raises `UserError` for a file that is not COCO keypoints, duplicate ids, an annotation of an unknown image or of
    something else than a person, a wrong number of keypoint values, NaN, and a file name that leads out of `images`.
    """
    where = "annotations" if isinstance(source, Mapping) else str(source)
    raw = source if isinstance(source, Mapping) else _parse(source)
    for key in ("images", "annotations", "categories"):
        if not isinstance(raw.get(key), list):
            raise UserError(
                f"{where}: no list of {key!r}; expected COCO keypoint annotations (person_keypoints_*.json)"
            )
    if not raw["images"]:
        raise UserError(f"{where}: lists no images; expected at least one; is it the right file?")
    if PERSON not in [c.get("id") for c in raw["categories"] if isinstance(c, Mapping)]:
        raise UserError(f"{where}: no category with the id {PERSON}; expected COCO's, where {PERSON} is a person")
    records = tuple(sorted((_image(entry, images, where) for entry in raw["images"]), key=lambda r: r.id))
    _unique([record.id for record in records], "image", where)
    known = {record.id for record in records}
    people: dict[int, list[Person]] = {}
    for entry in raw["annotations"]:
        person = _person(entry, known, where)
        people.setdefault(person.image_id, []).append(person)
    _unique([person.id for several in people.values() for person in several], "annotation", where)
    return Dataset(records, raw, people)


def require_files(records: Sequence[ImageRecord]) -> None:
    """A `UserError` that counts the pictures that are not there."""
    missing = [r.file_name for r in records if r.path is not None and not r.path.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(records)} images are missing, first {', '.join(missing[:3])}; "
            "give their folder with --images"
        )


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected COCO keypoint annotations") from None
    except (ValueError, RecursionError) as error:
        reason = str(error)[:80]
        raise UserError(f"{path}: not whole JSON ({reason}); expected COCO keypoint annotations") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: a JSON {type(raw).__name__}; expected COCO keypoint annotations (an object)")
    return raw


def _image(entry: Any, folder: Path | None, where: str) -> ImageRecord:
    try:
        identity, height, width = (_whole(entry[key]) for key in ("id", "height", "width"))
        record = ImageRecord(identity, str(entry["file_name"]), height, width)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{where}: an image entry is not understood ({error!r}); expected id, file_name, height and width"
        ) from None
    if record.height <= 0 or record.width <= 0:
        raise UserError(f"{where}: image {record.id} is {record.width}x{record.height} px; expected a size above 0")
    if folder is None:
        return record
    name = PurePosixPath(record.file_name)
    path = folder / name
    if name.is_absolute() or ".." in name.parts or ":" in record.file_name or "\\" in record.file_name:
        raise UserError(
            f"{where}: image {record.id} has the file name {record.file_name!r}; expected one in the folder"
        )
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{where}: image {record.id}, {record.file_name!r}, is a link out of its folder; refused")
    return ImageRecord(record.id, record.file_name, record.height, record.width, path)


def _person(entry: Any, known: set[int], where: str) -> Person:
    try:
        identity, image_id = _whole(entry["id"]), _whole(entry["image_id"])
        label = f"{where}: annotation {identity} of image {image_id}"
        if image_id not in known:
            raise UserError(f"{label}: there is no such image; expected one of the {len(known)} listed")
        if entry["category_id"] != PERSON:
            raise UserError(f"{label}: category {entry['category_id']!r}, expected {PERSON}, a person")
        _whole(entry["num_keypoints"])  # the metric reads it
        values = entry["keypoints"]
        if not isinstance(values, list) or len(values) != N_VALUES:
            n = len(values) if isinstance(values, list) else 0
            raise UserError(f"{label}: {n} keypoint values, expected {N_VALUES} (17 times x, y, v)")
        keypoints = np.array(values, np.float64).reshape(-1, 3)
        box, area = tuple(float(v) for v in entry["bbox"]), float(entry["area"])
        crowd = bool(entry["iscrowd"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: an annotation is not understood ({error!r}); expected COCO keypoints") from None
    if not np.isfinite(keypoints).all() or not all(map(math.isfinite, (*box, area))):
        raise UserError(f"{label}: NaN or infinity; expected finite numbers")
    strange = set(keypoints[:, 2].tolist()) - {0, 1, 2}
    if strange:
        raise UserError(f"{label}: visibility {min(strange):g}, expected 0, 1 or 2")
    if len(box) != 4 or min(box[2:]) < 0 or area < 0:
        raise UserError(f"{label}: box {box} and area {area}, expected x, y, width, height and none negative")
    return Person(keypoints.astype(np.float32), box, area, entry.get("segmentation"), crowd, image_id, identity)  # type: ignore[arg-type]


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _unique(ids: Sequence[int], what: str, where: str) -> None:
    twice = [identity for identity, n in Counter(ids).items() if n > 1]
    if twice:
        raise UserError(f"{where}: {len(twice)} {what} ids occur more than once, first {twice[0]}; expected unique ids")
