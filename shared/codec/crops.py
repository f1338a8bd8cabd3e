"""From a person's box to the crop that a top-down network sees, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from shared.errors import UserError

FARTHEST = 100_000  # px: the most that any number of a box may be; images end at a third of it
_LONGEST_SIDE = 32_766  # what OpenCV's warp can address
_LEAST = 1.0  # px: a box without extent is as large as one pixel
_NO_CENTRE = -1.0  # MPII's mark of a person who is not annotated


@dataclass(frozen=True)
class CropSpec:
    """How a box becomes a crop.  Centres are image px; a scale (width, height) is in units of `pixel_std` px.

    `aligned`: the box's width spans size - 1 steps, from the centre of the crop's first px to that of its last, on each
    axis by itself (UDP); False: it spans size px and its middle is at size / 2, half a px off, and the width alone
    decides the zoom (MSRA).
    `clockwise`: which way a positive rotation turns the picture.
    `padding`: the box grows by this factor.
    """

    name: str
    aligned: bool = False
    clockwise: bool = False
    padding: float = 1.25
    pixel_std: float = 200.0


MSRA = CropSpec("msra")  # SimpleBaseline, HRNet, humanpose.pytorch, lpn-pytorch
UDP = CropSpec("udp", aligned=True, clockwise=True)  # UDP-Pose, mmpose with use_udp

CROPS = {spec.name: spec for spec in (MSRA, UDP)}


def plausible(box: Sequence[float]) -> bool:
    """Whether x, y, width and height may be somebody's: sides above 0, and no number beyond `FARTHEST`.

    A box may leave the image and lie outside, as a detector's do.  A larger one has no affine in float32.
    """
    return all(abs(value) <= FARTHEST for value in box) and min(box[2:]) > 0


def clean_box(boxes: np.ndarray, image_size: tuple[int, int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO's ground-truth boxes (..., 4) clipped to the image, one px smaller than annotated, and which are usable.

    `image_size` is (height, width), or (..., 2) of them.  A box is usable (..., bool) unless it lies outside the image;
    the originals also leave out people whose annotated area is not above 0.  Boxes of a detector stay as they are.
    Source: HRNet, lib/dataset/coco.py.
    """
    boxes = np.asarray(boxes, np.float64)
    last = np.asarray(image_size, np.float64)[..., ::-1] - 1
    first = np.maximum(boxes[..., :2], 0)
    sides = np.minimum(last, first + np.maximum(boxes[..., 2:] - 1, 0)) - first
    return np.concatenate([first, sides], axis=-1), np.asarray((sides >= 0).all(axis=-1))


def from_boxes(boxes: np.ndarray, size: tuple[int, int], spec: CropSpec = MSRA) -> tuple[np.ndarray, np.ndarray]:
    """Centres and scales (..., 2) float32 of boxes (..., 4), grown to the aspect of `size` (height, width) and padded.

    As published, a box whose centre has x = -1 is not padded.
    """
    boxes, aspect = np.asarray(boxes, np.float64), size[1] / size[0]
    centres = (boxes[..., :2] + boxes[..., 2:] * 0.5).astype(np.float32)
    height = np.maximum(np.maximum(boxes[..., 3], boxes[..., 2] / aspect), _LEAST)
    width = np.maximum(np.maximum(boxes[..., 2], boxes[..., 3] * aspect), _LEAST * aspect)
    scales = (np.stack([width, height], axis=-1) / spec.pixel_std).astype(np.float32)
    return centres, np.where(centres[..., :1] != _NO_CENTRE, scales * np.float32(spec.padding), scales)


def areas(scales: np.ndarray, spec: CropSpec = MSRA) -> np.ndarray:
    """Of the padded boxes, px^2 (...): what the published OKS suppression takes for the area of a person."""
    return np.prod(np.asarray(scales, np.float64) * spec.pixel_std, axis=-1)


def matrix(
    centres: np.ndarray,
    scales: np.ndarray,
    rotations: np.ndarray | float,
    size: tuple[int, int],
    spec: CropSpec = MSRA,
) -> np.ndarray:
    """The affine (..., 2, 3) float64 from px of the image to px of a crop of `size` (height, width).

    `centres` and `scales` are (..., 2), `rotations` (...) degrees.  With the size of a heatmap it leads to its cells.
    """
    centres, sides = np.asarray(centres, np.float64), np.asarray(scales, np.float64) * spec.pixel_std
    if not (sides > 0).all():
        raise UserError(f"a box is {float(np.min(sides)):g} px wide or high; expected a size above 0; leave it out")
    extent = np.array(size[::-1], np.float64) - spec.aligned
    zoom = extent / sides if spec.aligned else np.repeat(extent[0] / sides[..., :1], 2, axis=-1)
    turn = np.radians(rotations) * (1 if spec.clockwise else -1)
    cos, sin = np.cos(turn), np.sin(turn)
    linear = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2) * zoom[..., None]
    shift = extent / 2 - (linear @ centres[..., None])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=-1)


def inverse(matrices: np.ndarray) -> np.ndarray:
    """The affines (..., 2, 3) back."""
    linear = np.linalg.inv(matrices[..., :2])
    return np.concatenate([linear, -linear @ matrices[..., 2:]], axis=-1)


def move(points: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Points (..., K, 2 or 3) through affines (..., 2, 3), float32; a third column stays."""
    moved = np.array(points, np.float64)
    moved[..., :2] = moved[..., :2] @ matrices[..., :2].swapaxes(-1, -2) + matrices[..., None, :, 2]
    return moved.astype(np.float32)


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The crop (height, width, C) of `size` from an image (H, W, C) by an affine (2, 3): bilinear, 0 outside.

    Raises `UserError` for an image that OpenCV cannot address.
    """
    if max(image.shape[:2]) > _LONGEST_SIDE:
        height, width = image.shape[:2]
        raise UserError(f"an image of {width}x{height} px; expected at most {_LONGEST_SIDE} px a side; cut it")
    return cv2.warpAffine(
        image, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
