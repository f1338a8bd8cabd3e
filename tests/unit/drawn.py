"""A small source of training samples, made of numbers, for the tests of what is done with it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from shared.data.source import Raw
from shared.errors import UserError
from shared.skeleton import COCO17, Skeleton


@dataclass(frozen=True)
class Drawn:
    """`count` samples of noise with no, one or two people; those in `broken` cannot be read."""

    count: int = 10
    broken: Collection[int] = ()
    main: bool = False
    size: tuple[int, int] = (96, 120)
    skeleton: Skeleton = COCO17

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Raw:
        if index in self.broken:
            raise UserError(f"picture {index}: cut off")
        rng = np.random.default_rng(index)
        n, (height, width) = (index + 1) % 3 or 2 * self.main, self.size
        points = np.zeros((n, self.skeleton.n_keypoints, 3), np.float32)
        points[..., :2] = rng.uniform(0, (width, height), points[..., :2].shape)
        points[..., 2] = rng.integers(0, 3, points.shape[:2])
        boxes = np.tile(np.array([20, 10, 60, 70], np.float32), (n, 1))
        mask = np.full(self.size, 255, np.uint8)
        mask[: index + 1] = 0
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        return Raw(image, points, boxes, mask if index % 2 else None, self.main, f"picture {index}")

    def identity(self) -> Mapping[str, object]:
        return {"name": "drawn", "broken": sorted(self.broken)}


@dataclass(frozen=True, eq=False)
class One:
    """One sample, as given."""

    raw: Raw
    skeleton: Skeleton = COCO17

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Raw:
        return self.raw

    def identity(self) -> Mapping[str, object]:
        return {"name": "one"}
