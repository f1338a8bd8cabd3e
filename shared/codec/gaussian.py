"""The Gaussian of whole scenes: keypoints of many people as heatmaps, each drawn inside its window."""

import math
from typing import TYPE_CHECKING

import numpy as np

from shared import jit

if TYPE_CHECKING:
    from shared.codec.targets import TargetSpec

_NOTHING = 25 * math.log(2)  # an exponent from which on 1 - exp(-exponent) is 1 in float32


def draw(points: np.ndarray, places: np.ndarray, heat: np.ndarray, spec: "TargetSpec", background: bool) -> None:
    """Draw M `points` (M, 2), image pixels, into heat (N, h, w, C) float32; `places` (M, 2): sample and channel.

    Cell (row, column) is sampled at the centre of the image patch that it covers, `stride * column +
    (stride - 1) / 2`, as the Caffe transformer does.  Points outside the map leak in.  `spec.overlap` decides
    where people meet: "max" keeps two of them apart, "sum_clipped" merges them.  With `background` the last channel,
    which has to begin with ones, becomes one minus the largest of the others.
    """
    limit = _NOTHING if spec.cutoff is None else spec.cutoff
    centre, reach, sizes = (spec.stride - 1) / 2, spec.sigma * math.sqrt(2 * limit), heat.shape[2:0:-1]
    points = points.astype(np.float64)
    first = np.ceil((points - reach - centre) / spec.stride)
    last = np.floor((points + reach - centre) / spec.stride) + 1
    windows = np.concatenate([np.fmin(np.fmax(edge, 0), sizes) for edge in (first, last)], axis=1).astype(np.int64)
    summed = spec.overlap == "sum_clipped"
    if jit.available():
        from shared.codec.target_kernels import bumps

        bumps(heat, points, places, windows, float(spec.stride), float(spec.sigma), limit, summed, background)
        return
    for (x, y), (n, k), (left, top, right, bottom) in zip(points, places, windows, strict=True):
        rows = spec.stride * np.arange(top, bottom)[:, None] + centre
        columns = spec.stride * np.arange(left, right) + centre
        exponent = ((rows - y) ** 2 + (columns - x) ** 2) / (2 * spec.sigma**2)
        bump = np.where(exponent <= limit, np.exp(-exponent), 0)
        window = heat[n, top:bottom, left:right]
        window[..., k] = np.minimum(window[..., k] + bump, 1) if summed else np.maximum(window[..., k], bump)
        if background:
            window[..., -1] = np.minimum(window[..., -1], 1 - window[..., k])
