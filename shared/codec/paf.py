"""The only PAF rasteriser: limbs of many people as fields of unit vectors, each drawn inside its box."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from shared import jit

if TYPE_CHECKING:
    from shared.codec.targets import TargetSpec

_ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "c": lambda values: np.copysign(np.floor(np.abs(values) + 0.5), values),
    "python": np.rint,
    "truncate": np.trunc,
}


def draw(starts: np.ndarray, ends: np.ndarray, places: np.ndarray, field: np.ndarray, spec: "TargetSpec") -> None:
    """Draw M limbs from `starts` to `ends` (both (M, 2), image pixels) into field (N, h, w, 2L) float32, x then y.

    `places` (M, 2): sample and limb of each.  `field` has to begin with zeros.  A cell belongs to a limb if it lies
    in the limb's box, widened by the limb width, and at most that width from its axis.  A limb of no length is left
    out.
    """
    starts, ends = ((points.astype(np.float64) - spec.paf_offset) / spec.stride for points in (starts, ends))  # cells
    lengths = np.hypot(*(ends - starts).T)[:, None]
    units = np.divide(ends - starts, lengths, out=np.zeros_like(starts), where=lengths > 0)
    width, rounded, sizes = spec.limb_width / spec.stride, _ROUND[spec.rounding], field.shape[2:0:-1]
    first, last = rounded(np.minimum(starts, ends) - width), rounded(np.maximum(starts, ends) + width)
    boxes = np.concatenate([np.fmin(np.fmax(edge, 0), sizes) for edge in (first, last)], axis=1).astype(np.int64)
    boxes[lengths[:, 0] == 0] = 0
    average = spec.paf_overlap == "average"
    counts = np.zeros((*field.shape[:3], field.shape[3] // 2 if average else 0), np.uint16)  # limbs on a cell
    if jit.available():
        from shared.codec.target_kernels import limbs

        limbs(field, counts, starts, units, places, boxes, width, spec.strict)
        return
    for (x, y), unit, (n, limb), (left, top, right, bottom) in zip(starts, units, places, boxes, strict=True):
        rows, columns = np.mgrid[top:bottom, left:right]
        distance = np.abs((columns - x) * unit[1] - (rows - y) * unit[0])
        on = distance < width if spec.strict else distance <= width
        cells, share = field[n, top:bottom, left:right, 2 * limb : 2 * limb + 2], 1.0
        if average:
            count = counts[n, top:bottom, left:right, limb]
            count += on
            share = 1 / count[on][:, None]
        cells[on] += (unit - cells[on]) * share
