"""What every kind of training data gives: samples before augmentation."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from shared.image import Encoded
from shared.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Raw:
    """One sample as it was annotated, in pixels of its image.

    `picture` is the image, or the bytes that it is decoded from when it is asked for.  `points` is (P, K, 3) in the
    source's skeleton: x, y and COCO's visibility v (0 not labelled, 1 hidden, 2 visible), the main person first where
    there is one.  `boxes` is (P, 4): x, y, width, height of the same people.  `mask` is (H, W) uint8, 255 where the
    loss counts and 0 where it does not; None where it counts everywhere.  `main` says whether the first person is the
    one that the crop follows.
    """

    picture: np.ndarray | Encoded
    points: np.ndarray
    boxes: np.ndarray
    mask: np.ndarray | None
    main: bool
    name: str  # for messages: the file, and the person in it

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.picture.size if isinstance(self.picture, Encoded) else self.picture.shape[:2]

    @cached_property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB.  Raises `UserError` for bytes that cannot be decoded."""
        return self.reduced(1)[0]

    def reduced(self, most: int) -> tuple[np.ndarray, int]:
        """The image with 1/n of its height and width, and n: at most `most`, and 1 where there is nothing to save."""
        if not isinstance(self.picture, Encoded):
            return self.picture, 1
        n = self.picture.reduction(most)
        return self.picture.decode(n), n

    @property
    def centre(self) -> tuple[float, float]:
        """The originals' `objpos`: the middle of the main person's box."""
        x, y, width, height = (float(value) for value in self.boxes[0])
        return x + width / 2, y + height / 2

    @property
    def scale(self) -> float:
        """The originals' `scale_provided`: the height of the main person's box / 368."""
        return float(self.boxes[0, 3]) / 368


class Source(Hashable, Protocol):
    """A list of samples.  Reading one is safe in several threads and processes (sources pickle small)."""

    skeleton: Skeleton  # of `Raw.points`

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> Raw:
        """One sample.  Raises `UserError`, which names the file, if it cannot be read: never a wrong sample.

        What is damaged inside an image may be found only when the image is decoded.
        """

    def identity(self) -> Mapping[str, object]:
        """What the samples depend on (files with sha256, split, rules), for checkpoints and logs."""
