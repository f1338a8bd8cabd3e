"""Peaks of a heatmap: where one keypoint of each person may be."""

import cv2
import numpy as np

from shared.codec.spec import DecodeSpec

_REACH = 2  # the refinement's patch is 5 x 5
_CENTROID = 3  # OpenPose's is 7 x 7
_ENLARGE = 8


def find(heat: np.ndarray, spec: DecodeSpec) -> np.ndarray:
    """Peaks of one heatmap (h, w): (n, 3) float64 x, y and score, in raster order, in px of the decoder's map.

    With the refinement "patch8", x and y are in px of a map 8 times as large: cell g has its centre at 8 g + 3.5.
    """
    rows, columns = np.nonzero(_mask(smoothed(heat, spec.smooth), spec))
    if spec.refine == "patch":
        found = _patch(heat, rows, columns, 1)
    elif spec.refine == "patch8":
        found = _patch(heat, rows, columns, _ENLARGE)
    elif spec.refine == "centroid":
        found = _centroid(heat, rows, columns)
    else:
        found = np.column_stack([columns, rows, heat[rows, columns]]).astype(np.float64)
    return found[: spec.max_peaks]


def smoothed(heat: np.ndarray, sigma: float) -> np.ndarray:
    """SciPy's gaussian_filter with its defaults: cut at 4 sigma, the border mirrored with its edge (b a | a b c)."""
    if not sigma:
        return heat
    side = 2 * int(4 * sigma + 0.5) + 1
    return cv2.GaussianBlur(heat, (side, side), sigma, borderType=cv2.BORDER_REFLECT)


def _mask(heat: np.ndarray, spec: DecodeSpec) -> np.ndarray:
    """(h, w) bool: the peaks."""
    above = heat > spec.peak_threshold
    if not above.any():
        return above
    if spec.peaks == "openpose":
        return above & _openpose(heat, spec.peak_threshold)
    # Outside is 0 for Zhe Cao's decoder; SciPy's maximum filter, in the others, repeats the edge.
    border = cv2.BORDER_CONSTANT if spec.peaks == "cross" else cv2.BORDER_REPLICATE
    padded = cv2.copyMakeBorder(heat, 1, 1, 1, 1, border, value=0)
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        above &= heat >= neighbour
    return above


def _openpose(heat: np.ndarray, threshold: float) -> np.ndarray:
    """Larger than all 8 neighbours; on the lines next to the border at least as large, with `threshold` outside.

    Those lines reach into the border, whose other pixels are never peaks.
    """
    around = np.ones((3, 3), np.uint8)
    around[1, 1] = 0
    highest = cv2.dilate(heat, around, borderType=cv2.BORDER_CONSTANT, borderValue=threshold)
    inner = np.zeros(heat.shape, bool)
    inner[2:-2, 2:-2] = True
    ring = np.zeros(heat.shape, bool)
    ring[[1, -2]] = True
    ring[:, [1, -2]] = True
    return (inner & (heat > highest)) | (ring & (heat >= highest))


def _patch(heat: np.ndarray, rows: np.ndarray, columns: np.ndarray, factor: int) -> np.ndarray:
    """Move each peak to the largest value of the 5x5 patch around it, enlarged `factor` times."""
    found = np.zeros((len(rows), 3))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        top, left = max(row - _REACH, 0), max(column - _REACH, 0)
        patch = heat[top : row + _REACH + 1, left : column + _REACH + 1]
        if factor > 1:
            patch = cv2.resize(patch, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        y, x = np.unravel_index(np.argmax(patch), patch.shape)
        found[i] = left * factor + x, top * factor + y, patch[y, x]
    return found


def _centroid(heat: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The mean position of the 7x7 pixels around each peak, weighted by their values above 0."""
    found = np.zeros((len(rows), 3))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        top, left = max(row - _CENTROID, 0), max(column - _CENTROID, 0)
        patch = np.maximum(heat[top : row + _CENTROID + 1, left : column + _CENTROID + 1], 0).astype(np.float64)
        weight = patch.sum()
        x = left + patch.sum(axis=0) @ np.arange(patch.shape[1]) / weight
        y = top + patch.sum(axis=1) @ np.arange(patch.shape[0]) / weight
        found[i] = x, y, heat[row, column]
    return found
