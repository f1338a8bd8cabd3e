"""The only Gaussian: one keypoint of several people as a heatmap."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shared.codec.targets import TargetSpec


def render(points: np.ndarray, size: tuple[int, int], spec: "TargetSpec") -> np.ndarray:
    """Draw `points` (P, 2), in image pixels, on a map of `size` cells; (h, w) float32 in [0, 1].

    Cell (row, column) is sampled at the centre of the image patch that it covers, `stride * column +
    (stride - 1) / 2`, as the Caffe transformer does.  Points outside the map leak in.  `spec.overlap` decides
    where people meet: "max" keeps two of them apart, "sum_clipped" merges them.
    """
    centre = (spec.stride - 1) / 2
    rows = spec.stride * np.arange(size[0]) + centre
    columns = spec.stride * np.arange(size[1]) + centre
    found = np.zeros(size)
    for x, y in points.astype(np.float64):
        exponent = ((rows - y) ** 2)[:, None] / (2 * spec.sigma**2) + (columns - x) ** 2 / (2 * spec.sigma**2)
        bump = np.exp(-exponent)
        if spec.cutoff is not None:
            bump[exponent > spec.cutoff] = 0
        found = np.maximum(found, bump) if spec.overlap == "max" else np.minimum(found + bump, 1)
    return found.astype(np.float32)
