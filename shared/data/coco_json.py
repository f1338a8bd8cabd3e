"""COCO's annotation JSON as NumPy columns: read in pieces, checked as `shared.coco` checks, in bounded memory."""

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from shared import coco
from shared.data.columns import Columns
from shared.data.json_pieces import pieces
from shared.errors import UserError

_FIELDS = itemgetter("id", "image_id", "category_id", "num_keypoints", "keypoints", "bbox", "area", "iscrowd")
_FAR = 1e5  # px: no polygon reaches so far out of its image
_LONGEST_NAME = 1000
_UNSAFE = re.compile(r"[:\\\\\x00-\x1f]")


def read(path: Path) -> Columns:
    """The columns of `shared.data.index.Index` from a COCO keypoint file.

    Raises `UserError` as `shared.coco.load` does, and for a segment that is not understood or not of its image.
    """
    where = str(path)
    images: list[dict[str, np.ndarray]] = []
    annotations: list[dict[str, np.ndarray]] = []
    lists: set[str] = set()
    categories: list[Any] = []
    for key, block in _pieces(path):
        if key not in ("images", "annotations", "categories"):
            continue
        if not isinstance(block, list):
            break
        lists.add(key)
        if key == "images" and block:
            images.append(_images(block, where))
        elif key == "annotations" and block:
            annotations.append(_annotations(block, where))
        elif key == "categories":
            categories += [c.get("id") for c in block if isinstance(c, Mapping)]
    for key in ("images", "annotations", "categories"):
        if key not in lists:
            raise UserError(
                f"{where}: no list of {key!r}; expected COCO keypoint annotations (person_keypoints_*.json)"
            )
    if not images:
        raise UserError(f"{where}: lists no images; expected at least one; is it the right file?")
    if coco.PERSON not in categories:
        raise UserError(
            f"{where}: no category with the id {coco.PERSON}; expected COCO's, where {coco.PERSON} is a person"
        )
    return _joined(_stack(images), _stack(annotations or [_annotations([], where)]), where)


def safe_name(name: str, label: str) -> str:
    """`name` itself if it leads to a file inside the folder of the images, else a `UserError` that begins `label`."""
    if name[:1] in ("", "/") or name.endswith("/") or _UNSAFE.search(name) or ".." in name.split("/"):
        raise UserError(f"{label} has the file name {name[:80]!r}; expected one in the folder")
    if len(name) > _LONGEST_NAME:
        raise UserError(f"{label} has a file name of {len(name)} characters; expected at most {_LONGEST_NAME}")
    return name


def _pieces(path: Path) -> Iterator[tuple[str, Any]]:
    reader = pieces(path, {"images", "annotations", "categories"})
    while True:
        try:
            piece = next(reader, None)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; expected COCO keypoint annotations") from None
        except (ValueError, RecursionError) as error:
            reason = str(error)[:80]
            if reason.startswith("a JSON list"):
                raise UserError(f"{path}: a JSON list; expected COCO keypoint annotations (an object)") from None
            raise UserError(f"{path}: not whole JSON ({reason}); expected COCO keypoint annotations") from None
        if piece is None:
            return
        yield piece


def _images(block: list[Any], where: str) -> dict[str, np.ndarray]:
    records = [coco._image(entry, None, where) for entry in block]
    names = [safe_name(record.file_name, f"{where}: image {record.id}") for record in records]
    try:
        return {
            "image_ids": np.array([record.id for record in records], np.int64),
            "file_names": np.array(names),
            "sizes": np.array([(record.height, record.width) for record in records], np.int32),
        }
    except OverflowError:
        raise UserError(f"{where}: an image has an id or a size beyond all use; expected COCO's") from None


def _annotations(block: list[Any], where: str) -> dict[str, np.ndarray]:
    """The columns of some annotations, checked together; if a check fails, one by one, to name the wrong one."""
    columns = _checked(block)
    if columns is None:
        for entry in block:
            coco._person(entry, _Anything(), where)  # raises for the entry that is wrong
        raise UserError(f"{where}: an annotation is not understood (a number beyond all use); expected COCO keypoints")
    return columns | _segments(block, where)


class _Anything(set):
    """Contains every image id; that they exist is checked at the end, as the images may come last."""

    def __contains__(self, item: object) -> bool:
        return True


def _checked(block: list[Any]) -> dict[str, np.ndarray] | None:
    """The columns without the segments; None if anything is not as it should be."""
    try:
        fields = list(zip(*map(_FIELDS, block), strict=True)) or [()] * 8
        ids, images, categories, counts, points, corners, surfaces, crowd = fields
        if not {*map(type, chain(ids, images, counts))} <= {int} or not {*map(type, points)} <= {list}:
            return None
        if not set(categories) <= {coco.PERSON}:
            return None
        keypoints = np.array(points, np.float64).reshape(len(block), coco.N_VALUES // 3, 3)
        boxes = np.array(corners, np.float64).reshape(len(block), 4)
        areas = np.array(surfaces, np.float64).reshape(len(block))
        whole: Columns = {
            "ids": np.array(ids, np.int64),
            "image_ids": np.array(images, np.int64),
            "n_keypoints": np.array(counts, np.int32),
            "crowd": np.array([bool(value) for value in crowd], bool),
        }
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not all(np.isfinite(column).all() for column in (keypoints, boxes, areas)):
        return None
    if not np.isin(keypoints[..., 2], (0, 1, 2)).all() or (boxes[:, 2:] < 0).any() or (areas < 0).any():
        return None
    return {**whole, "keypoints": keypoints.astype(np.float32), "boxes": boxes, "areas": areas}


def _segments(block: list[dict[str, Any]], where: str) -> dict[str, np.ndarray]:
    """Polygons and run lengths of some annotations, flat; a segment may be missing."""
    values = array("d")
    lengths: list[int] = []  # of the polygons
    runs: list[np.ndarray] = [np.zeros(0, np.uint32)]
    counts = np.zeros((len(block), 2), np.int64)  # of polygons, of runs
    mask_sizes = np.zeros((len(block), 2), np.int32)
    for row, entry in enumerate(block):
        segment = entry.get("segmentation")
        try:
            if isinstance(segment, dict):
                mask_sizes[row], found = run_lengths(segment)
                runs.append(found)
                counts[row, 1] = len(found)
            elif segment is not None:
                for polygon in segment:
                    values.fromlist(polygon)
                    lengths.append(len(polygon))
                counts[row, 0] = len(segment)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _not_understood(entry, error, where) from None
    ends, values_64 = np.cumsum(lengths, dtype=np.int64), np.frombuffer(values or b"")
    strange = np.searchsorted(ends, np.flatnonzero(~(np.abs(values_64) < _FAR)), side="right")  # NaN as well
    strange = np.append(strange, np.flatnonzero(np.array(lengths, np.int64) % 2))
    for polygon in strange[:1]:
        row = np.searchsorted(np.cumsum(counts[:, 0]), polygon, side="right")
        raise _not_understood(block[row], "an odd number of values, or one that is NaN or far out", where)
    return {
        "polygon_values": values_64.astype(np.float32),
        "polygon_sizes": np.array(lengths, np.int64),
        "polygons": counts[:, 0],
        "run_values": np.concatenate(runs),
        "runs": counts[:, 1],
        "mask_sizes": mask_sizes,
    }


def _not_understood(entry: Mapping[str, Any], reason: object, where: str) -> UserError:
    return UserError(
        f"{where}: annotation {entry['id']} of image {entry['image_id']}: segmentation not understood "
        f"({str(reason)[:60]}); expected polygons x, y, ... or run lengths"
    )


def run_lengths(segment: Mapping[str, Any]) -> tuple[tuple[int, int], np.ndarray]:
    """Size (height, width) and run lengths of COCO's run-length code, column by column, plain or compressed."""
    height, width = segment["size"]
    counts = segment["counts"]
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"runs of {runs.sum()} pixels for {width}x{height}")
    return (height, width), runs.astype(np.uint32)


def _unpacked(text: str) -> list[int]:
    """The run lengths in COCO's string: 5 bits a character, from the low ones; from the fourth run on differences."""
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _stack(blocks: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _joined(images: dict[str, np.ndarray], annotations: dict[str, np.ndarray], where: str) -> Columns:
    """Images and annotations as the columns of an index, after the checks that need both."""
    coco._unique(images["image_ids"].tolist(), "image", where)
    coco._unique(annotations["ids"].tolist(), "annotation", where)
    wanted = annotations.pop("image_ids")
    order = np.argsort(images["image_ids"])
    place = np.searchsorted(images["image_ids"], wanted, sorter=order).clip(max=len(order) - 1)
    image = order[place].astype(np.int32)
    for row in np.flatnonzero(images["image_ids"][image] != wanted)[:1]:
        raise UserError(
            f"{where}: annotation {annotations['ids'][row]} of image {wanted[row]}: there is no such image; "
            f"expected one of the {len(order)} listed"
        )
    sizes = annotations.pop("mask_sizes")
    for row in np.flatnonzero((annotations["runs"] > 0) & (sizes != images["sizes"][image]).any(axis=1))[:1]:
        (height, width), expected = sizes[row], images["sizes"][image[row]]
        raise UserError(
            f"{where}: annotation {annotations['ids'][row]} of image {wanted[row]}: a mask of {width}x{height} px, "
            f"expected the image's {expected[1]}x{expected[0]}"
        )
    for name in ("polygon_sizes", "polygons", "runs"):  # counts -> where each begins
        annotations[name] = np.concatenate([[0], np.cumsum(annotations[name])]).astype(np.int64)
    return {**images, **annotations, "image": image}
