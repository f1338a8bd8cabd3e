"""The boxes that a top-down network is given: those of the annotations, or a detector's."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.coco import PERSON, ImageRecord
from shared.codec import crops
from shared.errors import UserError
from shared.top_down import Boxes
from shared.weights import sha256

GROUND_TRUTH = "gt"
_EXPECTED = "COCO detections: a list of {image_id, category_id, bbox [x, y, width, height], score}"


def detected(path: Path, records: Sequence[ImageRecord], threshold: float = 0.0) -> dict[int, Boxes]:
    """Image id -> a detector's boxes of people with at least that score, from a JSON in COCO's results format.

    Images without one have none; boxes of other images are left out, those of other things too.  Raises `UserError` for
    a file that is something else, and for one without any box of these images.
    """
    known = {record.id for record in records}
    rows: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    for number, entry in enumerate(_entries(path)):
        image_id, category, values = _parsed(entry, f"{path}: entry {number}")
        if category == PERSON and image_id in known and values[4] >= threshold:
            rows[image_id].append(values)
    if not rows:
        raise UserError(
            f"{path}: no person of these {len(known)} images with a score of {threshold:g} or more; "
            "is it of another image set?"
        )
    arrays = {image_id: np.array(rows[image_id], np.float64).reshape(-1, 5) for image_id in known}
    return {image_id: Boxes(array[:, :4], array[:, 4]) for image_id, array in arrays.items()}


def identity(source: str, threshold: float) -> dict[str, Any]:
    """What the boxes are, for the protocol."""
    if source == GROUND_TRUTH:
        return {"source": "ground truth"}
    return {"source": "detections", "file": Path(source).name, "sha256": sha256(Path(source)), "threshold": threshold}


def _entries(path: Path) -> Sequence[Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--boxes {path}: {error.strerror}; expected gt, or {_EXPECTED}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"--boxes {path}: not whole JSON ({str(error)[:80]}); expected {_EXPECTED}") from None
    if not isinstance(entries, list):
        raise UserError(f"--boxes {path}: a JSON {type(entries).__name__}; expected {_EXPECTED}")
    return entries


def _parsed(entry: Any, where: str) -> tuple[int, int, tuple[float, ...]]:
    """Image id, category, and box with score."""
    try:
        if not isinstance(entry, Mapping):
            raise TypeError(f"a {type(entry).__name__}")
        x, y, width, height = entry["bbox"]
        values = tuple(_number(value) for value in (x, y, width, height, entry["score"]))
        image_id, category = int(_number(entry["image_id"])), int(_number(entry["category_id"]))
        if (image_id, category) != (entry["image_id"], entry["category_id"]):
            raise ValueError("an id that is not a whole number")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where} is not understood ({str(error)[:60]}); expected {_EXPECTED}") from None
    if not (crops.plausible(values[:4]) and math.isfinite(values[4])):
        raise UserError(
            f"{where}: bbox {entry['bbox']}, score {entry['score']}; expected finite numbers, sides above 0, all "
            f"within {crops.FARTHEST:,} px; take the entry out"
        )
    return image_id, category, values


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
