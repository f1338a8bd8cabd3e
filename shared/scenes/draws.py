"""Random draws that are the same on every machine: only `Generator.random` and the raw 64-bit stream.

NumPy keeps these two stable; its other distributions may change, or go through the platform's exp and log.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Colour = tuple[int, int, int]

SKIN = ((255, 219, 190), (241, 194, 160), (224, 172, 128), (198, 134, 92), (150, 98, 64), (104, 66, 46))
HAIR = (
    (28, 22, 20),
    (60, 40, 26),
    (104, 68, 36),
    (172, 126, 62),
    (214, 184, 120),
    (130, 56, 28),
    (168, 164, 160),
)


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(float(rng.random()) * (high - low + 1))


def chance(rng: np.random.Generator, probability: float) -> bool:
    return float(rng.random()) < probability


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(float(rng.random()) * len(choices))]


def weighted(rng: np.random.Generator, choices: Sequence[tuple[T, int]]) -> T:
    """One of (choice, whole-number weight) pairs."""
    left = int(float(rng.random()) * sum(weight for _, weight in choices))
    for choice, weight in choices:
        left -= weight
        if left < 0:
            return choice
    return choices[-1][0]


def raw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """uint8 noise of the given shape."""
    n = 1
    for side in size:
        n *= side
    words = np.asarray(rng.bit_generator.random_raw(n // 8 + 1))
    return words.astype("<u8").view(np.uint8)[:n].reshape(size)


def colour(rng: np.random.Generator, low: int = 20, high: int = 235) -> Colour:
    """Any colour: a grey level, and three channels that stray from it by a random amount."""
    grey, stray = integer(rng, low, high), integer(rng, 0, 110)
    return near(rng, (grey, grey, grey), stray)


def near(rng: np.random.Generator, base: Colour, stray: int) -> Colour:
    r, g, b = (min(255, max(0, c + integer(rng, -stray, stray))) for c in base)
    return r, g, b


def tone(base: Colour, gain: int) -> Colour:
    """The colour times gain/256."""
    r, g, b = (min(255, c * gain >> 8) for c in base)
    return r, g, b
