"""What `shared.codec.gaussian` and `shared.codec.paf` do cell by cell, compiled; they say what it is."""

import math

import numpy as np

from shared.jit import njit


@njit
def bumps(
    heat: np.ndarray, points: np.ndarray, places: np.ndarray, windows: np.ndarray,
    stride: float, sigma: float, limit: float, summed: bool, background: bool,
) -> None:  # fmt: skip
    """`gaussian.draw`: windows (M, 4) are first column and row, and the first ones that are not drawn."""
    centre, one = (stride - 1) / 2, np.float32(1)
    exponents, factors = np.empty(heat.shape[2]), np.empty(heat.shape[2])
    for m in range(len(points)):
        x, y = points[m]
        n, k = places[m]
        left, top, right, bottom = windows[m]
        for column in range(left, right):
            exponents[column] = (stride * column + centre - x) ** 2 / (2 * sigma**2)
            factors[column] = math.exp(-exponents[column])
        for row in range(top, bottom):
            exponent = (stride * row + centre - y) ** 2 / (2 * sigma**2)
            factor = math.exp(-exponent)
            for column in range(left, right):
                if exponent + exponents[column] <= limit:
                    value = np.float32(factor * factors[column])
                    before = heat[n, row, column, k]
                    value = min(before + value, one) if summed else max(before, value)
                    heat[n, row, column, k] = value
                    if background:
                        heat[n, row, column, -1] = min(heat[n, row, column, -1], one - value)


@njit
def limbs(
    field: np.ndarray, counts: np.ndarray, starts: np.ndarray, units: np.ndarray, places: np.ndarray,
    boxes: np.ndarray, width: float, strict: bool,
) -> None:  # fmt: skip
    """`paf.draw`: starts (M, 2) in cells, units (M, 2), boxes (M, 4) as the windows of `bumps`."""
    average = counts.shape[3] > 0
    for m in range(len(starts)):
        x, y = starts[m]
        n, limb = places[m]
        left, top, right, bottom = boxes[m]
        for row in range(top, bottom):
            for column in range(left, right):
                distance = abs((column - x) * units[m, 1] - (row - y) * units[m, 0])
                if distance < width or (distance == width and not strict):
                    share = 1.0
                    if average:
                        counts[n, row, column, limb] += 1
                        share = 1 / counts[n, row, column, limb]
                    for axis in range(2):
                        cell = field[n, row, column, 2 * limb + axis]
                        field[n, row, column, 2 * limb + axis] = cell + (units[m, axis] - cell) * share
