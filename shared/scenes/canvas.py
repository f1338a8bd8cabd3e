"""A picture and, pixel by pixel, the identity of what is seen there: shapes are drawn into both at once.

Coordinates are rounded to 1/16 px before they reach the rasteriser, so that a last-bit difference between two
machines' sine does not become another pixel.
"""

import math

import cv2
import numpy as np

from shared.scenes.draws import Colour, tone

SHIFT = 4  # fractional bits of the coordinates that OpenCV gets
PARTS = 32  # identity = PARTS * slot + part; slot 0 is not a person
BACKGROUND, CROWD = 0, 1  # identities in slot 0

Point = tuple[float, float]

_EDGE, _SHINE = 150, 284  # tones of a shape's rim and of its lit side, of 256
_CAP = np.array([(math.cos(i * math.pi / 6), math.sin(i * math.pi / 6)) for i in range(-3, 4)])  # half a circle
_CIRCLE = np.array([(math.cos(i * math.pi / 12), math.sin(i * math.pi / 12)) for i in range(24)])


class Canvas:
    """`image` (H, W, 3) uint8 RGB and `ids` (H, W) int16; both change with every shape drawn."""

    def __init__(self, image: np.ndarray, light: Point) -> None:
        self.image = image
        self.ids = np.full(image.shape[:2], BACKGROUND, np.int16)
        self.light = light  # where the light comes from: a direction in the image, at most 1 long

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.image.shape[:2]
        return height, width

    def polygon(self, points: np.ndarray, colour: Colour, identity: int | None) -> None:
        """Fill (n, 2) points in px; identity None leaves `ids` as it is (a pattern on what is there)."""
        fixed = _fixed(points)
        cv2.fillPoly(self.image, [fixed], colour, cv2.LINE_AA, SHIFT)
        if identity is not None:
            cv2.fillPoly(self.ids, [fixed], identity, cv2.LINE_8, SHIFT)

    def hull(self, points: np.ndarray, colour: Colour, identity: int | None) -> None:
        """Fill the convex hull of (n, 2) points."""
        fixed = cv2.convexHull(_fixed(points))
        cv2.fillConvexPoly(self.image, fixed, colour, cv2.LINE_AA, SHIFT)
        if identity is not None:
            cv2.fillConvexPoly(self.ids, fixed, identity, cv2.LINE_8, SHIFT)

    def line(self, a: Point, b: Point, width: float, colour: Colour, identity: int | None = None) -> None:
        self.hull(capsule(a, width / 2, b, width / 2), colour, identity)

    def disc(self, centre: Point, radius: float, colour: Colour, identity: int | None = None) -> None:
        self.hull(np.array(centre) + radius * _CIRCLE, colour, identity)

    def solid(self, shapes: list[np.ndarray], radius: float, colour: Colour, identity: int) -> None:
        """Fill the convex hulls of `shapes` as one body about `radius` px thick: dark rim, lit side."""
        for shape in shapes:
            self.hull(shape, tone(colour, _EDGE), identity)
        steps = [(0.82, 0.1, colour)] + ([(0.4, 0.34, tone(colour, _SHINE))] if radius > 4 else [])
        for keep, move, shade in steps:
            inset = (1 - keep) * radius
            for shape in shapes:
                self.hull(_shrink(shape, inset, self.light, move * radius), shade, None)

    def limb(self, a: Point, r_a: float, b: Point, r_b: float, colour: Colour, identity: int) -> None:
        """A tapered, shaded tube from a to b."""
        lx, ly = self.light
        self.hull(capsule(a, r_a, b, r_b), tone(colour, _EDGE), identity)
        steps = [(0.8, 0.1, colour)] + ([(0.36, 0.34, tone(colour, _SHINE))] if max(r_a, r_b) > 3 else [])
        for keep, move, shade in steps:
            start = (a[0] + move * r_a * lx, a[1] + move * r_a * ly)
            end = (b[0] + move * r_b * lx, b[1] + move * r_b * ly)
            self.hull(capsule(start, keep * r_a, end, keep * r_b), shade, None)


def capsule(a: Point, r_a: float, b: Point, r_b: float) -> np.ndarray:
    """(14, 2) outline of two discs and what lies between them."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.sqrt(dx * dx + dy * dy)
    ux, uy = (dx / length, dy / length) if length > 1e-6 else (1.0, 0.0)
    out = np.empty((14, 2))
    for start, (x, y), r in ((0, a, -r_a), (7, b, r_b)):
        along, across = r * _CAP[:, 0], r * _CAP[:, 1]
        out[start : start + 7, 0] = x + along * ux - across * uy
        out[start : start + 7, 1] = y + along * uy + across * ux
    return out


def box(x: float, y: float, w: float, h: float) -> np.ndarray:
    """(4, 2) corners."""
    return np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << SHIFT)).astype(np.int32)


def _shrink(points: np.ndarray, inset: float, light: Point, move: float) -> np.ndarray:
    """Points pulled towards the centre of their box by `inset` px on each side, then moved to the light."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = np.maximum((high - low) / 2, 1e-3)
    keep = np.maximum(half - inset, 0.3 * half) / half
    centre = (low + high) / 2
    return centre + (points - centre) * keep + move * np.array(light)
