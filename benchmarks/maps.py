"""Maps that are not perfect: of a real network, from files, and drawn ones that are spoilt on purpose."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shared.errors import UserError
from shared.fit import Fitted


@dataclass(frozen=True, eq=False)
class Stored:
    """A network's output for a picture of `size` (height, width) that was resized, without padding, to its input."""

    image_id: int
    maps: Mapping[str, np.ndarray]
    fitted: Fitted
    size: tuple[int, int]


def stored(folder: Path) -> list[Stored]:
    """The files *.npz of a folder: `heat` (h, w, 19), `paf` (h, w, 38), `image_id`, `input_hw`, `orig_hw`."""
    entries = []
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(path) as file:
                maps = {field: file[field].astype(np.float32) for field in ("heat", "paf")}
                sizes = [(int(file[key][0]), int(file[key][1])) for key in ("input_hw", "orig_hw")]
                image_id = int(file["image_id"])
        except (KeyError, ValueError, OSError) as error:
            raise UserError(f"--maps {path}: {error}; expected heat, paf, image_id, input_hw, orig_hw") from None
        entries.append(Stored(image_id, maps, whole(*sizes), sizes[1]))
    if not entries:
        raise UserError(f"--maps {folder}: no *.npz there; expected a folder of a network's maps")
    return entries


def whole(size: tuple[int, int], original: tuple[int, int]) -> Fitted:
    """A picture of the size `original` that fills a network's input of `size`, both (height, width)."""
    x, y = original[1] / size[1], original[0] / size[0]
    blank = np.broadcast_to(np.float32(0), (*size, 3))
    return Fitted(blank, size, (0, 0), size, (x, y), (x / 2 - 0.5, y / 2 - 0.5))


@dataclass(frozen=True)
class Damage:
    """How drawn maps are spoilt, the same way each time for an image.

    `drop`: the share of keypoints that are not drawn.  `blur`: sigma in cells of a Gaussian over all maps.  `noise`:
    standard deviation of what is added to every value after that.
    """

    drop: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("drop", 1), ("blur", 20), ("noise", 10)):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= most):
                raise UserError(f"--{name} {value}: expected a number from 0 to {most}")

    def people(self, people: np.ndarray, seed: int) -> np.ndarray:
        """People (P, K, 3) without the keypoints that are dropped."""
        kept = np.random.default_rng((seed, 0)).random(people.shape[:2]) >= self.drop
        return people * kept[..., None]

    def maps(self, maps: np.ndarray, seed: int) -> np.ndarray:
        """Maps (h, w, C) with blur and noise."""
        if self.blur:
            blurred = [cv2.GaussianBlur(channel, (0, 0), self.blur) for channel in np.moveaxis(maps, -1, 0)]
            maps = np.stack(blurred, axis=-1)
        if self.noise:
            rng = np.random.default_rng((seed, maps.shape[-1]))
            maps = maps + rng.normal(0, self.noise, maps.shape).astype(np.float32)
        return maps


UNSPOILT = Damage()
