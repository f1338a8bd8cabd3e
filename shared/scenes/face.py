"""Heads: skull, hair, ears, eyes, nose and mouth, each seen only from where it can be seen."""

import math

import numpy as np

from shared.scenes.body import EAR, EYE, NOSE, Head
from shared.scenes.canvas import Canvas, capsule
from shared.scenes.clothing import Outfit
from shared.scenes.draws import Colour, tone

_RINGS = [(math.sin(a * math.pi / 8), math.cos(a * math.pi / 8)) for a in range(1, 8)]
_TURN = [(math.cos(b * math.pi / 6), math.sin(b * math.pi / 6)) for b in range(12)]
_BALL = np.array([(0.0, 1.0, 0.0), (0.0, -1.0, 0.0)] + [(r * c, y, r * s) for r, y in _RINGS for c, s in _TURN])
_DOME = np.array([(1.07 * r * c, 1.1 * y, 1.07 * r * s) for r, y in _RINGS[:3] for c, s in _TURN])
_BRIM = np.array([(x, 0.42, z) for x, z in ((-0.7, 0.8), (-0.6, 1.5), (0.0, 1.7), (0.6, 1.5), (0.7, 0.8))])


def draw_head(canvas: Canvas, head: Head, outfit: Outfit, ids: tuple[int, int, int, int]) -> None:
    """`ids` are the identities of the face, the hair, the left ear and the right ear."""
    face, hair = ids[:2]
    size = _size(head)
    ears = [] if outfit.cut == "long" else [(1, ids[2]), (-1, ids[3])]
    for side, identity in ears:
        if side * head.view[0] > 0.1:
            _draw_ear(canvas, head, side, outfit.skin, identity)
    bald = outfit.cut == "bald"
    skull = _place(head, _BALL if bald else 1.04 * _BALL)
    canvas.solid([skull], 0.8 * size, outfit.skin if bald else outfit.hair, face if bald else hair)
    if not bald:
        zone = _face_zone(head, 58 if outfit.cut == "long" else 70)
        if zone is not None:
            canvas.polygon(zone, outfit.skin, face)
    for side, identity in ears:
        if side * head.view[0] <= 0.1:
            _draw_ear(canvas, head, side, outfit.skin, identity)
    _draw_features(canvas, head, outfit, face)
    if outfit.cut == "hat":
        canvas.solid([_place(head, _DOME)], 0.5 * size, outfit.hat, hair)
        if head.view[2] < 0.6:
            canvas.hull(_place(head, _BRIM), tone(outfit.hat, 190), hair)


def draw_mane(canvas: Canvas, head: Head, outfit: Outfit, identity: int) -> None:
    """Long hair, from the crown to the shoulder blades."""
    size = _size(head)
    top, end = head.point(0.0, 0.1, -0.35), head.point(0.0, -1.9, -0.75)
    canvas.limb((top[0], top[1]), 0.8 * size, (end[0], end[1]), 0.5 * size, outfit.hair, identity)


def facing(head: Head, place: tuple[float, float, float]) -> float:
    """-1 where the place on the head looks straight at the camera, 0 at the contour, 1 on the far side."""
    x, y, z = place
    length = math.sqrt(x * x + y * y + z * z)
    return (x * head.view[0] + y * head.view[1] + z * head.view[2]) / length


def _size(head: Head) -> float:
    """Half the head's width in px, whatever way it turns."""
    return 0.74 * math.sqrt(sum(c * c for c in head.axes[1]))


def _place(head: Head, points: np.ndarray) -> np.ndarray:
    """(n, 3) places in the head's unit sphere as (n, 2) px."""
    x, y, z = head.axes
    out = np.empty((len(points), 2))
    for axis in (0, 1):
        out[:, axis] = head.centre[axis] + points[:, 0] * x[axis] + points[:, 1] * y[axis] + points[:, 2] * z[axis]
    return out


def _face_zone(head: Head, radius: float) -> np.ndarray | None:
    """The outline of a cap about the front of the head; what is behind the contour is drawn in to it."""
    cos, sin = math.cos(math.radians(radius)), math.sin(math.radians(radius))
    vx, vy, vz = head.view
    ring, hidden = [], 0
    for i in range(24):
        c, s = math.cos(i * math.pi / 12), math.sin(i * math.pi / 12)
        # about the axis (0, -0.35, 0.9368)
        x, y, z = sin * c, -0.35 * cos + 0.9368 * sin * s, 0.9368 * cos + 0.35 * sin * s
        depth = x * vx + y * vy + z * vz
        if depth > 0:
            hidden += 1
            x, y, z = x - depth * vx, y - depth * vy, z - depth * vz
            length = max(1e-6, math.sqrt(x * x + y * y + z * z))
            x, y, z = x / length, y / length, z / length
        ring.append((x, y, z))
    return None if hidden == 24 else _place(head, 0.97 * np.array(ring))


def _draw_ear(canvas: Canvas, head: Head, side: int, skin: Colour, identity: int) -> None:
    size = _size(head)
    (x, y, _), (ux, uy, _) = head.point(side * EAR[0], EAR[1], EAR[2]), head.axes[1]
    low, high = (x - 0.1 * ux, y - 0.1 * uy), (x + 0.12 * ux, y + 0.12 * uy)
    canvas.limb(low, 0.2 * size, high, 0.24 * size, skin, identity)


def _draw_features(canvas: Canvas, head: Head, outfit: Outfit, identity: int) -> None:
    size = _size(head)
    for side in (1, -1):
        place = (side * EYE[0], EYE[1], EYE[2])
        if facing(head, place) < 0.02:
            x, y, _ = head.point(*place)
            if size > 5:
                canvas.disc((x, y), 0.21 * size, (240, 240, 236), identity)
            canvas.disc((x, y), max(0.9, 0.12 * size), (36, 28, 26), identity)
            if size > 7:
                a, b = head.point(side * 0.2, 0.36, 0.92), head.point(side * 0.58, 0.34, 0.78)
                canvas.line((a[0], a[1]), (b[0], b[1]), 0.11 * size, tone(outfit.hair, 200), identity)
    if facing(head, NOSE) < 0.12:
        (ax, ay, _), (bx, by, _) = head.point(0.0, 0.08, 0.98), head.point(*NOSE)
        outline = capsule((ax, ay), 0.08 * size, (bx, by), max(0.6, 0.17 * size))
        canvas.hull(outline, tone(outfit.skin, 205), identity)
    if facing(head, (0.0, -0.52, 0.85)) < -0.1:
        a, b = head.point(0.24, -0.5, 0.82), head.point(-0.24, -0.5, 0.82)
        canvas.line((a[0], a[1]), (b[0], b[1]), max(0.8, 0.13 * size), (156, 62, 60), identity)
