"""Affines of augmentation, drawn and taken apart, for its tests."""

import numpy as np

from shared import augment
from shared.augment import Affine, Augment

SIZE = (480, 640)
BOX = np.array([[270.0, 130.0, 100.0, 220.0]])  # x, y, width, height
MIDDLE = (320.0, 240.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def draws(spec: Augment, n: int = 400, boxes: np.ndarray = BOX, main: bool = True, size=SIZE) -> list[Affine]:
    generator = rng()
    return [augment.draw(generator, size, boxes, main, spec) for _ in range(n)]


def factor(affine: Affine) -> float:
    return float(np.sqrt(abs(np.linalg.det(affine.matrix[:, :2]))))


def degrees(affine: Affine) -> float:
    """The turn, with the mirror undone."""
    (a, _), (c, _) = affine.matrix[:, :2]
    return float(np.degrees(np.arctan2(c, -a if affine.mirrored else a)))


def moved(affine: Affine, *points: tuple[float, float]) -> np.ndarray:
    return affine.points(np.array([[*point, 2.0] for point in points]))[:, :2]


def back(affine: Affine, points: np.ndarray) -> np.ndarray:
    """From the crop to the image."""
    return (np.asarray(points) - affine.matrix[:, 2]) @ np.linalg.inv(affine.matrix[:, :2]).T
