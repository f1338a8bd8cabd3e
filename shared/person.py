"""A person that was annotated, and a pose that was predicted."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Person:
    """One COCO annotation.  `keypoints` is (K, 3): x, y in image pixels and COCO's visibility v in {0, 1, 2}."""

    keypoints: np.ndarray
    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    area: float  # of the segment, px^2
    segmentation: object = None  # COCO polygons or RLE
    crowd: bool = False
    image_id: int = 0
    id: int = 0

    @property
    def n_keypoints(self) -> int:
        return int((self.keypoints[:, 2] > 0).sum())


@dataclass(frozen=True, eq=False)
class Pose:
    """One predicted person.  `keypoints` is (K, 3): x, y in image pixels and a score; not found is (0, 0, 0)."""

    keypoints: np.ndarray
    score: float
    box: tuple[float, float, float, float] | None = field(default=None)

    @property
    def found(self) -> np.ndarray:
        """(K,) bool: the keypoints that were found."""
        return self.keypoints[:, 2] > 0
