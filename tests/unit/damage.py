"""JPEGs for the tests, and what happens to files: the damage that libjpeg sees."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

SECTOR = 4096  # bytes
END = b"\xff\xd9"


def scene(height: int = 240, width: int = 320, grey: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 BGR, or (H, W): soft noise."""
    noise = np.random.default_rng(0).uniform(0, 255, (height, width) if grey else (height, width, 3))
    return cv2.GaussianBlur(noise, (0, 0), 1.5).astype(np.uint8)


def jpeg(image: np.ndarray | None = None, *flags: int) -> bytes:
    return cv2.imencode(".jpg", scene() if image is None else image, [cv2.IMWRITE_JPEG_QUALITY, 98, *flags])[
        1
    ].tobytes()


def _middle(data: bytes) -> int:
    return len(data) // 2 // SECTOR * SECTOR


DAMAGE: Mapping[str, Callable[[bytes], bytes]] = {
    "a zeroed sector": lambda data: data[: _middle(data)] + bytes(SECTOR) + data[_middle(data) + SECTOR :],
    "cut, and an end marker": lambda data: data[: len(data) // 2] + END,
    "5,000 bytes missing": lambda data: data[: len(data) // 2] + data[len(data) // 2 + 5000 :],
}
