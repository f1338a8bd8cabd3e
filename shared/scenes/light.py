"""Light, lens and sensor: gradients, tint, contrast, blur and noise, in whole numbers."""

import cv2
import numpy as np

from shared.scenes.draws import chance, integer, raw, weighted

Rng = np.random.Generator


def expose(rng: Rng, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 as a camera might have taken it."""
    image = _tone(rng, image)
    if chance(rng, 0.5):
        image = _shade(rng, image)
    blur = weighted(rng, ((0, 5), (3, 4), (5, 1)))
    if blur:
        image = cv2.GaussianBlur(image, (blur, blur), 0)
    return _noise(rng, image)


def _tone(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Contrast, brightness and a tint, as one table per channel."""
    contrast, brightness = integer(rng, 200, 280), integer(rng, -22, 22)
    levels = np.arange(256, dtype=np.int32)
    table = np.empty((256, 1, 3), np.uint8)
    for channel in range(3):
        gain = contrast * integer(rng, 236, 276) >> 8
        table[:, 0, channel] = np.clip(((levels - 128) * gain >> 8) + 128 + brightness, 0, 255)
    return cv2.LUT(image, table.reshape(1, 256, 3))


def _shade(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Light that falls off across the image: the gain goes from one side to the other, in 1/128."""
    height, width = image.shape[:2]
    left, right, down = integer(rng, 92, 146), integer(rng, 92, 146), integer(rng, -24, 24)
    column = left + (right - left) * np.arange(width, dtype=np.int32) // width
    row = down * np.arange(height, dtype=np.int32) // height
    gain = (row[:, None] + column).astype(np.uint16)[..., None]  # (H, W, 1)
    return np.minimum(image * gain >> 7, 255).astype(np.uint8)


def _noise(rng: Rng, image: np.ndarray) -> np.ndarray:
    strength = weighted(rng, ((0, 1), (5, 3), (10, 2), (18, 1)))
    if not strength:
        return image
    table = np.arange(256, dtype=np.int32) * (2 * strength + 1) >> 8
    noise = cv2.LUT(raw(rng, image.shape), table.astype(np.uint8))  # 0 .. 2 * strength
    return cv2.subtract(cv2.add(image, noise), np.full_like(image, strength))
