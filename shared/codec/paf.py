"""The only PAF rasteriser: one limb of several people as a field of unit vectors."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shared.codec.targets import TargetSpec

_ROUND: dict[str, Callable[[float], int]] = {
    "c": lambda value: int(math.copysign(math.floor(abs(value) + 0.5), value)),
    "python": round,
    "truncate": int,
}


def render(starts: np.ndarray, ends: np.ndarray, size: tuple[int, int], spec: "TargetSpec") -> np.ndarray:
    """Draw limbs from `starts` to `ends` (both (P, 2), image pixels); (h, w, 2) float32, x then y.

    A cell belongs to a limb if it lies in the limb's box, widened by the limb width, and at most that width from
    its axis.  A limb of no length is left out.
    """
    field = np.zeros((*size, 2))
    count = np.zeros(size)
    for start, end in zip(starts.astype(np.float64), ends.astype(np.float64), strict=True):
        cells = _cells(start, end, size, spec)
        if cells is None:
            continue
        rows, columns, unit = cells
        field[rows, columns] = unit if spec.paf_overlap == "last" else field[rows, columns] + unit
        count[rows, columns] += 1
    if spec.paf_overlap == "average":
        field /= np.maximum(count, 1)[..., None]
    return field.astype(np.float32)


def _cells(
    start: np.ndarray, end: np.ndarray, size: tuple[int, int], spec: "TargetSpec"
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Rows and columns of the cells on a limb, and its unit vector."""
    a, b = (start - spec.paf_offset) / spec.stride, (end - spec.paf_offset) / spec.stride  # in cells
    length = math.hypot(*(b - a))
    if length == 0:
        return None
    unit, width = (b - a) / length, spec.limb_width / spec.stride
    rounded = _ROUND[spec.rounding]
    low = [max(rounded(min(a[i], b[i]) - width), 0) for i in (0, 1)]
    high = [min(rounded(max(a[i], b[i]) + width), size[1 - i]) for i in (0, 1)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
    distance = np.abs((columns - a[0]) * unit[1] - (rows - a[1]) * unit[0])
    on = distance < width if spec.strict else distance <= width
    return rows[on], columns[on], unit
