"""MPII as training data: the annotations of HRNet's train.json and valid.json, and the folder of the images."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shared.codec.crops import FARTHEST
from shared.data.coco_json import safe_name
from shared.data.columns import Columns
from shared.data.folder import DEFAULT, Folder, Options
from shared.data.index import Layout
from shared.errors import UserError
from shared.skeleton import MPII16

_EXPECTED = "MPII's train.json or valid.json (a list of joints, joints_vis, image, center, scale)"
_PIXELS = 200  # of a person's height, where MPII's scale is 1
_DOWN = 15  # px times the scale, from MPII's centre to the middle of the box


def mpii(annotations: Path, images: Path, options: Options = DEFAULT) -> Folder:
    """A source of MPII's people, 16 keypoints each; those of one image are together, images in order of appearance.

    Keypoints and boxes count pixels from 0, MPII from 1.  A joint with joints_vis 1 has v 2, another one v 0: whether
    it was hidden is not told.  The box is HRNet's: a square of 200 scale, centred 15 scale below `center`; the area is
    the box's, as there are no segments, nor masks.  A person without a centre (-1) has no box and is never the main
    one.  Raises `UserError` as `Folder`, and for a file that is not MPII's.
    """
    return Folder(annotations, images, options, MPII)


def read(path: Path) -> Columns:
    """The columns of `shared.data.index.Index` from an MPII file.  Raises `UserError` for anything else."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not whole JSON ({str(error)[:80]}); expected {_EXPECTED}") from None
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: a JSON {type(entries).__name__} of nothing it knows; expected {_EXPECTED}")
    names: dict[str, int] = {}
    people = [_person(entry, names, f"{path}: entry {number}") for number, entry in enumerate(entries)]
    image, joints, boxes = (np.array(column) for column in zip(*people, strict=True))
    n_people, n_images = len(people), len(names)
    return {
        "image_ids": np.arange(n_images),
        "file_names": np.array(list(names)),
        "sizes": np.zeros((n_images, 2), np.int32),
        "ids": np.arange(n_people),
        "image": image.astype(np.int32),
        "boxes": boxes,
        "areas": boxes[:, 2] * boxes[:, 3],
        "n_keypoints": (joints[..., 2] > 0).sum(axis=1).astype(np.int32),
        "crowd": np.zeros(n_people, bool),
        "keypoints": joints.astype(np.float32),
        "polygons": np.zeros(n_people + 1, np.int64),
        "polygon_sizes": np.zeros(1, np.int64),
        "polygon_values": np.zeros(0, np.float32),
        "runs": np.zeros(n_people + 1, np.int64),
        "run_values": np.zeros(0, np.uint32),
    }


def _person(entry: Any, names: dict[str, int], label: str) -> tuple[int, np.ndarray, np.ndarray]:
    """The row of the image, the joints (16, 3) and the box (4,) of an entry; a new image is added to `names`."""
    try:
        name = safe_name(str(entry["image"]), label)
        xy = np.array(entry["joints"], np.float64).reshape(16, 2)
        known = np.array(entry["joints_vis"], np.float64).reshape(16)
        centre = np.array(entry["center"], np.float64).reshape(2)
        scale = float(entry["scale"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{label} is not understood ({str(error)[:60]}); expected {_EXPECTED}") from None
    placed = centre[0] != -1
    if not (np.isfinite(xy).all() and np.isfinite([*centre, scale]).all()) or (placed and scale < 0):
        raise UserError(f"{label}: NaN, infinity or a negative scale; expected finite numbers")
    if not np.isin(known, (0, 1)).all():
        raise UserError(f"{label}: joints_vis {known.max():g}, expected 0 or 1")
    joints = np.where(known[:, None] > 0, np.column_stack([xy - 1, 2 * known]), 0)
    side = _PIXELS * scale
    corner = centre - 1 + (0, _DOWN * scale) - side / 2
    box = np.array([*corner, side, side]) * placed
    if np.abs(box).max() > FARTHEST:
        raise UserError(
            f"{label}: centre {centre[0]:g}, {centre[1]:g} and scale {scale:g}, a box beyond {FARTHEST:,} px; "
            "expected px of the image; take the entry out"
        )
    return names.setdefault(name, len(names)), joints, box


MPII = Layout("mpii", MPII16, read)
