"""People who stand side by side, drawn as perfect maps; and a real network's maps."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from shared import fit, image
from shared.codec import fast, targets
from shared.codec.spec import FAST, STRIDE, Maps
from shared.preprocess import RAW_BGR
from shared.skeleton import COCO18

COCO_MINI = Path(__file__).parents[3] / "shared" / "data" / "coco_mini"
SIZE = (46, 92)  # cells

LAYOUT = {  # a person of 350 px who faces the camera
    "head_top": (0, 20), "nose": (0, 40), "right_eye": (-18, 22), "right_ear": (-40, 32), "upper_neck": (0, 75),
    "neck": (0, 90), "right_shoulder": (-50, 92), "right_elbow": (-70, 150), "right_wrist": (-85, 205),
    "chest": (0, 140), "mid_hip": (0, 190), "right_hip": (-30, 197), "right_knee": (-36, 260),
    "right_ankle": (-40, 318), "right_big_toe": (-55, 350), "right_small_toe": (-75, 345), "right_heel": (-25, 340),
}  # fmt: skip

needs_coco_mini = pytest.mark.skipif(not COCO_MINI.is_dir(), reason=f"no {COCO_MINI}: the project's small COCO subset")


def person(skeleton, x, without=()):
    """(K, 3) One person about column `x`, bent a little.

    No keypoint is on or midway between the centres of cells: two equal px are two peaks in Python, none in OpenPose.
    """
    points = np.zeros((skeleton.n_keypoints, 3), np.float32)
    for k, name in enumerate(skeleton.keypoints):
        if name not in without:
            side = -1 if name.startswith("left_") else 1
            dx, dy = LAYOUT[name.replace("left_", "right_")]
            points[k] = x + side * dx * 0.97 + 0.03 * dy, 2.3 + 0.97 * dy + 0.04 * side * dx, 2
    return points


def crowd(skeleton, n):
    return np.stack([person(skeleton, x) for x in (366.7, 117.6, 610.1)[:n]])


def drawn(skeleton, points, spec=targets.PAPER):
    heat, paf = targets.encode(points, skeleton, SIZE, spec)
    return {"heat": heat, "paf": paf}


def recovered(found, points, place):
    """Whether these are the people that were drawn, in any order, every keypoint within `place` px on each axis."""
    if len(found) != len(points):
        return False
    left = list(found)
    for truth in points:
        near = [i for i, keypoints in enumerate(left) if same(keypoints, truth, place)]
        if len(near) != 1:
            return False
        del left[near[0]]
    return True


def same(keypoints, truth, place):
    known = truth[:, 2] > 0
    away = np.abs(keypoints[:, :2] - truth[:, :2])
    return bool(np.array_equal(keypoints[:, 2] > 0, known) and (away[known] < place).all())


@cache
def stored():
    """[(image id, Fitted, maps, size of the image)] of the 28 stored outputs of a real network."""
    entries = []
    for path in sorted((COCO_MINI / "maps").glob("*.npz")):
        with np.load(path) as file:
            picture = image.read(COCO_MINI / "images" / f"{path.stem}.jpg")
            (fitted,) = fit.apply(picture, 368, (1,), fit.fit("tf"), RAW_BGR)
            assert fitted.input.shape[:2] == tuple(file["input_hw"])
            assert picture.shape[:2] == tuple(file["orig_hw"])
            maps = {field: file[field].astype(np.float32) for field in ("heat", "paf")}
            entries.append((int(file["image_id"]), fitted, maps, picture.shape[:2]))
    return entries


def part(x, names):
    """(18, 3) A person of these parts only."""
    return person(COCO18, x, [name for name in COCO18.keypoints if name not in names])


def poses(maps, skeleton=COCO18, **changes):
    """People from a network's maps by the fast decoder, in px of its input."""
    return fast.decode(Maps(maps["heat"], maps["paf"], cell=STRIDE), skeleton, replace(FAST, **changes))


def people(maps, skeleton=COCO18, **changes):
    return [pose.keypoints for pose in poses(maps, skeleton, **changes)]
