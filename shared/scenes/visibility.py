"""What is seen of a person, read from the identities in a canvas, as a COCO annotation."""

import cv2
import numpy as np

from shared.scenes import paint
from shared.scenes.body import FACE, Body, Vec
from shared.scenes.canvas import BACKGROUND, CROWD, PARTS, Canvas
from shared.scenes.face import facing

MIN_AREA = 80  # px^2; a person of whom less is seen has no keypoints
MIN_HEIGHT = 32  # px
MIN_SEEN = 3  # keypoints

# nose, eyes, ears: how far round the head (see `facing`) a keypoint still is seen, still can be guessed
_ROUND = ((0.12, 0.4), (0.02, 0.3), (0.02, 0.3), (0.35, 0.5), (0.35, 0.5))
# of the disc that is looked at, in body heights
_RADIUS = (0.012, 0.01, 0.01, 0.014, 0.014) + (0.024,) * 2 + (0.02,) * 4 + (0.03,) * 2 + (0.022,) * 4
# a hidden keypoint can be placed if one of these is seen
_NEXT = (
    *((1, 2, 3, 4), (0, 2, 3), (0, 1, 4), (0, 1, 5), (0, 2, 6)),
    *((6, 7, 11, 3), (5, 8, 12, 4), (5, 9), (6, 10), (7,), (8,)),
    *((12, 5, 13), (11, 6, 14), (11, 15), (12, 16), (13,), (14,)),
)


def person_annotation(canvas: Canvas, body: Body, slot: int) -> dict | None:
    """The annotation of the person in `slot`, None if nothing of it is seen.

    The area counts visible pixels.  Too small or too hidden a person keeps its segment and has no keypoints.
    """
    mask = (canvas.ids >= PARTS * slot) & (canvas.ids < PARTS * (slot + 1))
    found = _segment(mask)
    if found is None:
        return None
    keypoints = _keypoints(canvas, body, slot)
    seen = sum(v == 2 for _, _, v in keypoints)
    if found["area"] < MIN_AREA or found["bbox"][3] < MIN_HEIGHT or seen < MIN_SEEN:
        keypoints = [(0, 0, 0)] * 17
    return {
        **found,
        "keypoints": [number for keypoint in keypoints for number in keypoint],
        "num_keypoints": sum(v > 0 for _, _, v in keypoints),
        "iscrowd": 0,
        "category_id": 1,
    }


def crowd_annotation(canvas: Canvas) -> dict | None:
    """One uncompressed RLE for all that was drawn as CROWD, gaps closed; None if nothing is seen."""
    seen = (canvas.ids == CROWD).astype(np.uint8)
    mask = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    mask = (mask > 0) & ((canvas.ids == CROWD) | (canvas.ids == BACKGROUND))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    x, y = int(columns[0]), int(rows[0])
    return {
        "segmentation": run_lengths(mask),
        "area": int(mask.sum()),
        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        "keypoints": [0] * 51,
        "num_keypoints": 0,
        "iscrowd": 1,
        "category_id": 1,
    }


def run_lengths(mask: np.ndarray) -> dict:
    """A (H, W) bool mask as COCO's uncompressed RLE: run lengths down the columns, zeros first."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"counts": [0, *runs] if flat[0] else runs, "size": list(mask.shape)}


def _segment(mask: np.ndarray) -> dict | None:
    """Polygons along the pixels' edges (COCO's: x = 0 is the left edge of the first pixel), box and area."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    x, y = int(columns[0]), int(rows[0])
    inside = mask[y : rows[-1] + 1, x : columns[-1] + 1]
    h, w = inside.shape
    # doubled, a contour through pixel centres tells the two edges of a pixel apart
    double = np.repeat(np.repeat(inside.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for contour in contours:
        edge = cv2.approxPolyDP((contour + 1) // 2, 0.8, True)[:, 0]
        if len(edge) >= 3:
            polygons.append((edge + np.array([x, y])).ravel().tolist())
    if not polygons:
        polygons = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return {"segmentation": polygons, "area": int(inside.sum()), "bbox": [x, y, w, h]}


def _keypoints(canvas: Canvas, body: Body, slot: int) -> list[tuple[float, float, int]]:
    states = [_state(canvas, body, slot, k) for k in range(17)]
    out = []
    for k, (x, y, _) in enumerate(body.keypoints):
        v = states[k]
        if v == 1 and not any(states[n] == 2 for n in _NEXT[k]):
            v = 0  # nobody could say where it is
        out.append((round(x, 2), round(y, 2), v) if v else (0, 0, 0))
    return out


def _state(canvas: Canvas, body: Body, slot: int, k: int) -> int:
    """COCO's visibility of one keypoint: outside 0, covered 1, seen 2."""
    height, width = canvas.size
    x, y, _ = body.keypoints[k]
    if not (0 <= round(x, 2) <= width - 1 and 0 <= round(y, 2) <= height - 1):
        return 0
    if k < 5:
        turned = facing(body.head, FACE[k])
        if turned > _ROUND[k][1]:
            return 0
        if turned > _ROUND[k][0]:
            return 1
    radius = max(1, int(_RADIUS[k] * body.scale))
    column, row = int(x + 0.5), int(y + 0.5)
    top, left = max(0, row - radius), max(0, column - radius)
    window = canvas.ids[top : row + radius + 1, left : column + radius + 1]
    dy = np.arange(top, top + window.shape[0])[:, None] - row
    dx = np.arange(left, left + window.shape[1])[None] - column
    disc = window[dx * dx + dy * dy <= radius * radius]
    own = np.isin(disc, [PARTS * slot + part for part in _own_parts(body, k)])
    return 2 if 2 * int(own.sum()) >= len(disc) else 1


def _own_parts(body: Body, k: int) -> tuple[int, ...]:
    """The parts that show the keypoint where they are what is seen there."""
    if k < 3:
        return (paint.FACE,)
    i = (k + 1) % 2  # 0 left, 1 right
    if k < 5:
        return paint.EAR[i], paint.FACE
    if k < 7:
        return paint.ARM[i], *((paint.TORSO,) if _near(body, k, body.rings[1][0]) else ())
    if k < 9:
        return paint.ARM[i], paint.FOREARM[i]
    if k < 11:
        return paint.FOREARM[i], paint.HAND[i]
    if k < 13:
        trunk = (paint.PELVIS, paint.TORSO, paint.SKIRT) if _near(body, k, body.rings[4][0]) else ()
        return paint.THIGH[i], *trunk
    if k < 15:
        return paint.THIGH[i], paint.SHIN[i], paint.SKIRT
    return paint.SHIN[i], paint.FOOT[i]


def _near(body: Body, k: int, centre: Vec) -> bool:
    """Whether the keypoint is not on the far side of the trunk."""
    return body.keypoints[k][2] - centre[2] < 0.045 * body.scale
