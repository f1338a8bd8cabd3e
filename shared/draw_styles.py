"""People as HRNet's visualization/plot_coco.py draws them, in its two styles, named after their makers.

Every function returns a new (H, W, 3) uint8 RGB array.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from shared.errors import unknown
from shared.person import Person, Pose
from shared.skeleton import COCO17

Colour = tuple[int, int, int]
KEYPOINT_SCORE = 0.2  # the least of a keypoint, and
POSE_SCORE = 0.3  # of a person to be drawn
MOST = 20  # people of an image, the best
_NEAR = 0.1  # the least share of common area, of a pose's and a person's boxes, each three times as wide and high
_PER_WIDTH = 100  # px of the shorter side of a pose's tripled box, for each px of a line's width
_N_FACE = 5  # the first keypoints, and the lines between them, are thin
_BLACK = (0, 0, 0)

_NAMED = (
    "left_ankle>left_knee left_knee>left_hip left_hip>left_shoulder right_hip>right_knee right_knee>right_ankle "
    "right_hip>right_shoulder left_ear>left_eye left_eye>right_eye left_eye>nose nose>right_eye right_eye>right_ear "
    "left_wrist>left_elbow left_elbow>left_shoulder left_shoulder>right_shoulder right_shoulder>right_elbow "
    "right_elbow>right_wrist"
)
LINES = tuple((COCO17.index(a), COCO17.index(b)) for a, b in (line.split(">") for line in _NAMED.split()))


@dataclass(frozen=True)
class Style:
    """RGB of each of LINES, and of each keypoint of COCO."""

    name: str
    lines: tuple[Colour, ...]
    keypoints: tuple[Colour, ...]


_PINK, _YELLOW = (240, 2, 127), (255, 255, 51)
_VIOLET, _BLUE, _LEMON, _GREEN = (252, 176, 243), (0, 176, 240), (255, 255, 0), (169, 209, 142)
CHUNHUA = Style(
    "chunhua",
    (*[_VIOLET] * 3, *[_BLUE] * 3, *[_PINK] * 5, *[_LEMON] * 2, *[_GREEN] * 3),
    (*[_PINK] * 5, *[_LEMON, _GREEN] * 3, *[_VIOLET, _BLUE] * 3),
)
XIAOCHU = Style(
    "xiaochu",
    (
        (179, 0, 0), (228, 26, 28), _YELLOW, (49, 163, 84), (0, 109, 45), _YELLOW, *[_PINK] * 5,
        (217, 95, 14), (254, 153, 41), _YELLOW, (44, 127, 184), (0, 0, 255),
    ),
    (
        *[_PINK] * 5, _YELLOW, _YELLOW, (254, 153, 41), (44, 127, 184), (217, 95, 14), (0, 0, 255), _YELLOW, _YELLOW,
        (228, 26, 28), (49, 163, 84), _VIOLET, _BLUE,
    ),
)  # fmt: skip
STYLES = {style.name: style for style in (CHUNHUA, XIAOCHU)}


def style(name: str) -> Style:
    """The style of that name."""
    if name not in STYLES:
        raise unknown("style", name, STYLES)
    return STYLES[name]


def near(pose: Pose, persons: Sequence[Person]) -> list[np.ndarray]:
    """For each person near a pose, which of the pose's keypoints (17,) are shown: found, and annotated there."""
    scored = pose.keypoints[:, 2] >= KEYPOINT_SCORE
    if not scored.any():
        return []
    box = _box(pose.keypoints[pose.found])
    return [scored & (p.keypoints[:, 2] > 0) for p in persons if p.n_keypoints and _overlap(box, p.box) >= _NEAR]


def draw_poses(image: np.ndarray, poses: Sequence[Pose], persons: Sequence[Person], style: Style) -> np.ndarray:
    """Predicted people with an annotated one near them: keypoints that this one has, and lines between two of them.

    The published code draws a pose once for each person near it; its circles all depend on the last line's ends, and
    boxes that are apart on both axes are near to it.  None of this is repeated.
    """
    found = [pose for pose in poses if pose.found.any()]
    return _drawn(image, [(p.keypoints, _box(p.keypoints[p.found]), near(p, persons)) for p in found], style)


def draw_persons(image: np.ndarray, persons: Sequence[Person], style: Style) -> np.ndarray:
    """Annotated people, each keypoint that they have."""
    known = [(p.keypoints, p.keypoints[:, 2] > 0) for p in persons if p.n_keypoints]
    return _drawn(image, [(keypoints, _box(keypoints[has]), [has]) for keypoints, has in known], style)


_Body = tuple[np.ndarray, np.ndarray, list[np.ndarray]]


def _drawn(image: np.ndarray, bodies: Sequence[_Body], style: Style) -> np.ndarray:
    """Of each body the keypoints (17, 3), their box, and for each person near it which keypoints (17,) are shown."""
    shown = image.copy()
    for keypoints, box, known in bodies:
        points, width = _points(keypoints), _width(box)
        for i, (a, b) in enumerate(LINES):
            if any(has[a] and has[b] for has in known):
                thin = max(a, b) < _N_FACE
                cv2.line(shown, points[a], points[b], style.lines[i], 1 if thin else width, cv2.LINE_AA)
    for keypoints, box, known in bodies:
        points, width = _points(keypoints), _width(box)
        for k, point in enumerate(points):
            if any(has[k] for has in known):
                radius = 1 if k < _N_FACE else width
                cv2.circle(shown, point, radius + 1, _BLACK, cv2.FILLED, cv2.LINE_AA)
                cv2.circle(shown, point, radius, style.keypoints[k], cv2.FILLED, cv2.LINE_AA)
    return shown


def _points(keypoints: np.ndarray) -> list[tuple[int, int]]:
    return [(round(float(x)), round(float(y))) for x, y in keypoints[:, :2]]


def _box(keypoints: np.ndarray) -> np.ndarray:
    """(4,) x, y, width, height of what was found."""
    first = keypoints[:, :2].min(axis=0)
    return np.concatenate([first, keypoints[:, :2].max(axis=0) - first])


def _width(box: np.ndarray) -> int:
    return max(1, round(3 * float(box[2:].min()) / _PER_WIDTH))


def _overlap(box: np.ndarray, other: Sequence[float]) -> float:
    """The area that both boxes share, three times as wide and high, as a part of the box around both."""
    a, b = (np.array([v[:2] - v[2:], v[:2] + 2 * v[2:]]) for v in (box, np.asarray(other, np.float64)))
    common = np.maximum(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0)
    around = np.maximum(a[1], b[1]) - np.minimum(a[0], b[0])
    return float(common.prod() / max(around.prod(), np.finfo(np.float64).tiny))
