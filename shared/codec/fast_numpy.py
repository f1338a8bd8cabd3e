"""Peaks and limbs of the fast decoder by NumPy, for machines without numba; equal to `shared.codec.fast_kernels`."""

import numpy as np

from shared.codec.spec import FastSpec
from shared.skeleton import Skeleton

DARKEST = 1e-3  # values below count as this when their logarithm is taken
SIDE = 0.5  # weight of the rows beside a peak's own, when its place along the row is sought
FLATTEST = 0.4  # least curvature of a peak, as a share of that of a drawn one
FURTHEST = 0.75  # cells that a peak moves at most
BRIGHTEST = 1.2  # height of a peak at most
QUARTER = 0.31863936  # a quarter of normal values are nearer to 0 than so many deviations
_NOISE_CELLS = 256  # about as many tell the noise
_STEPS = (-1, 0, 1)


def threshold(heat: np.ndarray, n_keypoints: int, spec: FastSpec) -> np.float32:
    """A cell's least value to be a peak of heat (h, w, C) float32.

    Heatmaps are zero nearly everywhere, even in a crowd, so that the smallest quarter of their magnitudes is noise.
    """
    least = np.float32(spec.peak_threshold)
    if not spec.noise:
        return least
    step = noise_step(*heat.shape[:2])
    values = np.abs(heat[::step, ::step, :n_keypoints]).ravel()
    rank = len(values) // 4
    return np.maximum(least, np.float32(spec.noise / QUARTER) * np.partition(values, rank)[rank])


def noise_step(height: int, width: int) -> int:
    """Every so many rows and columns of a map are enough to tell its noise."""
    return max(1, int((height * width / _NOISE_CELLS) ** 0.5))


def peaks(heat: np.ndarray, n_keypoints: int, spec: FastSpec) -> tuple[np.ndarray, np.ndarray]:
    """See `shared.codec.fast_kernels.peaks`."""
    h, w = heat.shape[:2]
    maps = np.moveaxis(heat[..., :n_keypoints], -1, 0).astype(np.float64)  # (K, h, w)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    is_peak = maps > threshold(heat, n_keypoints, spec)
    for dy in _STEPS:
        for dx in _STEPS:
            if dy or dx:
                other = padded[:, 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
                is_peak &= (maps > other) if (dy, dx) < (0, 0) else (maps >= other)
    k, y, x = np.nonzero(is_peak)
    firsts = np.searchsorted(k, np.arange(n_keypoints + 1))
    if spec.refine is None:
        return np.column_stack([x, y, maps[k, y, x]]).astype(np.float64), firsts
    rows, columns = y[:, None, None] + np.array(_STEPS)[:, None], x[:, None, None] + np.array(_STEPS)
    patches = padded[k[:, None, None], rows + 1, columns + 1]  # (n, 3, 3)
    move_x, rise_x = _vertex(_mean(patches, axis=1), spec.curvature)
    move_y, rise_y = _vertex(_mean(patches, axis=2), spec.curvature)
    height = np.minimum(maps[k, y, x] * np.exp(rise_x + rise_y), BRIGHTEST)
    return np.column_stack([x + move_x, y + move_y, height]), firsts


def _mean(patches: np.ndarray, axis: int) -> np.ndarray:
    """(n, 3) weighted means across patches, -1 outside the map."""
    weights = np.array((SIDE, 1.0, SIDE)).reshape((3, 1) if axis == 1 else (1, 3))
    inside = np.isfinite(patches)
    total = (weights * np.where(inside, np.maximum(patches, 0), 0)).sum(axis=axis)
    return np.where(inside.take(1, axis=axis), total / np.maximum((weights * inside).sum(axis=axis), SIDE), -1)


def _vertex(values: np.ndarray, curvature: float) -> tuple[np.ndarray, np.ndarray]:
    """Moves and rises (n,) of the parabolas through the logarithms of values (n, 3)."""
    before, middle, after = np.log(np.maximum(values, DARKEST)).T
    first, last = values[:, 0] < 0, values[:, 2] < 0
    bend = np.maximum(2 * middle - before - after, FLATTEST * curvature)
    move = np.clip(0.5 * (after - before) / bend, -FURTHEST, FURTHEST)
    rise = np.where(first | last, 0, 0.25 * (after - before) * move)
    move = np.where(first, np.clip(0.5 + (after - middle) / curvature, -1, 0.5), move)
    move = np.where(last, np.clip(-0.5 - (before - middle) / curvature, -0.5, 1), move)
    return np.where(first & last, 0, move), rise


def pairs(
    points: np.ndarray, firsts: np.ndarray, paf: np.ndarray, skeleton: Skeleton, spec: FastSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `shared.codec.fast_kernels.pairs`."""
    ends, owners, scores = [np.zeros((0, 2), int)], [np.zeros(0, int)], [np.zeros(0)]
    ways = np.linspace(0, 1, spec.samples)
    for limb, (a, b) in enumerate(skeleton.limbs):
        numbers = np.mgrid[firsts[a] : firsts[a + 1], firsts[b] : firsts[b + 1]].reshape(2, -1).T
        start, end = points[numbers[:, 0]], points[numbers[:, 1]]
        step = end[:, :2] - start[:, :2]
        length = np.hypot(*step.T)
        value = np.zeros((len(numbers), spec.samples))
        places = start[:, None, :2] + ways[:, None] * step[:, None]
        for axis in (0, 1):
            value += _between(paf[..., 2 * limb + axis], places) * step[:, axis, None]
        value /= np.maximum(length, 1e-12)[:, None]
        prior = np.minimum(0.5 * paf.shape[0] / np.maximum(length, 1e-12) - 1, 0)
        score = (value.mean(axis=1) + prior) * (start[:, 2] * end[:, 2]) ** spec.strength
        found = (length > 0) & ((value <= spec.paf_threshold).sum(axis=1) <= spec.misses) & (score > 0)
        ends.append(numbers[found])
        owners.append(np.full(found.sum(), limb))
        scores.append(score[found])
    return np.concatenate(ends), np.concatenate(owners), np.concatenate(scores)


def _between(channel: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A map (h, w) at places (..., 2) between its cells; outside it is as at its border."""
    h, w = channel.shape
    x, y = np.clip(places[..., 0], 0, w - 1), np.clip(places[..., 1], 0, h - 1)
    left, top = np.minimum(x.astype(int), max(w - 2, 0)), np.minimum(y.astype(int), max(h - 2, 0))
    right, bottom = np.minimum(left + 1, w - 1), np.minimum(top + 1, h - 1)
    x, y = x - left, y - top
    upper = channel[top, left] * (1 - x) + channel[top, right] * x
    lower = channel[bottom, left] * (1 - x) + channel[bottom, right] * x
    return np.asarray(upper * (1 - y) + lower * y)
