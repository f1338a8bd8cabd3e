"""The fast decoder's work on maps where they are, on a GPU too: scales as one, peaks, limbs; only candidates leave.

The rules and the answer are those of `shared.codec.fast`, which makes people of the candidates.  All are found, however
many: peaks have no limit, and pairs are scored in portions, so that memory has one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from shared.codec import fast
from shared.codec.fast import Candidates
from shared.codec.fast_numpy import BRIGHTEST, DARKEST, FLATTEST, FURTHEST, QUARTER, SIDE, noise_step
from shared.codec.spec import FastSpec
from shared.merging import View, mirrored_channels
from shared.skeleton import Skeleton

Tensor = Any  # of the backend
_PORTION = 2**17  # pairs of peaks; at 10 samples a limb they take 0.3 GB
_STEPS = np.arange(3)


def merge(
    plain: Sequence[Mapping[str, Tensor]],
    flipped: Sequence[Mapping[str, Tensor]],
    views: Sequence[View],
    skeleton: Skeleton,
) -> dict[str, Tensor]:
    """The mean of an image's maps (h, w, C) of all scales and, if there are, of its mirrored ones.

    `views` are of `shared.merging.views`; the answer is that of `shared.merging.merge` at the resolution "stride".
    """
    merged = {}
    for name in plain[0]:
        maps = [each[name] for each in plain]
        order, sign = (np.array(each) for each in mirrored_channels(name, skeleton))
        maps += [ops.flip(ops.take(each[name], order, axis=-1), axis=1) * sign for each in flipped]
        parts = [_read(ops.sum(ops.stack([maps[i] for i in view.sources]), axis=0), view) for view in views]
        merged[name] = ops.sum(ops.stack(parts), axis=0) / len(maps)
    return merged


def _read(array: Tensor, view: View) -> Tensor:
    """A map (h, w, C) at the view's cells."""
    if view.rows is None or view.columns is None:
        return array
    return ops.matmul(view.columns, ops.tensordot(view.rows, array, axes=1))


def candidates(maps: Sequence[Mapping[str, Tensor]], skeleton: Skeleton, spec: FastSpec) -> list[Candidates]:
    """Peaks and pairs of every image's maps: heat (h, w, K + 1) and paf (h, w, 2L), of one size."""
    k = skeleton.n_keypoints
    points, firsts = _peaks(ops.stack([each["heat"][..., :k] for each in maps]), spec)
    pairs = _pairs(points, firsts, ops.stack([each["paf"] for each in maps]), skeleton, spec)
    points, firsts, pairs = (ops.convert_to_numpy(each) for each in (points, firsts, pairs))
    return fast.by_image(points, firsts, pairs, k)


def _peaks(heat: Tensor, spec: FastSpec) -> tuple[Tensor, Tensor]:
    """(n, 3) x, y, height of the peaks of heat (N, h, w, K), float64, by image and keypoint; (N * K + 1,) firsts."""
    is_largest = ops.logical_and(heat > _threshold(heat, spec), heat == ops.max_pool(heat, 3, 1, "same"))
    by_keypoint = ops.transpose(ops.cast(is_largest, heat.dtype), (0, 3, 1, 2))
    places = ops.stack(ops.nonzero(by_keypoint), axis=1)
    patches = _patches(heat, places)
    before = ops.reshape(patches, (-1, 9))[:, :4]
    first = ops.nonzero(ops.all(before < patches[:, 1, 1:2], axis=1))[0]  # of equal neighbours
    places, patches = ops.cast(ops.take(places, first, axis=0), "int64"), ops.take(patches, first, axis=0)
    n, _, _, k = heat.shape
    firsts = ops.cast(ops.searchsorted(places[:, 0] * k + places[:, 1], np.arange(n * k + 1)), "int64")
    x, y, height = ops.cast(places[:, 3], "float64"), ops.cast(places[:, 2], "float64"), patches[:, 1, 1]
    if spec.refine is None:
        return ops.stack([x, y, height], axis=1), firsts
    move_x, rise_x = _vertex(_mean(patches, axis=1), spec.curvature)
    move_y, rise_y = _vertex(_mean(patches, axis=2), spec.curvature)
    height = ops.minimum(height * ops.exp(rise_x + rise_y), BRIGHTEST)
    return ops.stack([x + move_x, y + move_y, height], axis=1), firsts


def _threshold(heat: Tensor, spec: FastSpec) -> Tensor | float:
    """A cell's least value to be a peak of heat (N, h, w, K), (N, 1, 1, 1): see `shared.codec.fast_numpy.threshold`."""
    if not spec.noise:
        return spec.peak_threshold
    step = noise_step(*heat.shape[1:3])
    values = ops.reshape(ops.abs(heat[:, ::step, ::step]), (len(heat), -1))
    quarter = ops.sort(values, axis=1)[:, values.shape[1] // 4]
    return ops.reshape(ops.maximum(spec.noise / QUARTER * quarter, spec.peak_threshold), (-1, 1, 1, 1))


def _patches(heat: Tensor, places: Tensor) -> Tensor:
    """(n, 3, 3) float64 around places (n, 4) image, keypoint, y, x of heat (N, h, w, K), -inf outside the map."""
    padded = ops.pad(heat, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    _, h, w, k = padded.shape
    places = ops.cast(places, "int64")[:, :, None, None]
    rows = places[:, 0] * h + places[:, 2] + _STEPS[:, None]
    cells = (rows * w + places[:, 3] + _STEPS) * k + places[:, 1]
    return ops.cast(ops.take(ops.reshape(padded, (-1,)), cells, axis=0), "float64")


def _mean(patches: Tensor, axis: int) -> Tensor:
    """(n, 3) weighted means across patches, -1 outside the map."""
    sides = np.array((SIDE, 1.0, SIDE)).reshape((3, 1) if axis == 1 else (1, 3))
    weights = ops.cast(ops.isfinite(patches), "float64") * sides
    total = ops.sum(weights * ops.maximum(patches, 0.0), axis=axis)
    middle = patches[:, 1] if axis == 1 else patches[:, :, 1]
    return ops.where(ops.isfinite(middle), total / ops.maximum(ops.sum(weights, axis=axis), SIDE), -1.0)


def _vertex(values: Tensor, curvature: float) -> tuple[Tensor, Tensor]:
    """Moves and rises (n,) of the parabolas through the logarithms of values (n, 3)."""
    before, middle, after = ops.unstack(ops.log(ops.maximum(values, DARKEST)), axis=1)
    first, last = values[:, 0] < 0, values[:, 2] < 0
    bend = ops.maximum(2 * middle - before - after, FLATTEST * curvature)
    move = ops.clip(0.5 * (after - before) / bend, -FURTHEST, FURTHEST)
    rise = ops.where(ops.logical_or(first, last), 0.0, 0.25 * (after - before) * move)
    move = ops.where(first, ops.clip(0.5 + (after - middle) / curvature, -1, 0.5), move)
    move = ops.where(last, ops.clip(-0.5 - (before - middle) / curvature, -0.5, 1), move)
    return ops.where(ops.logical_and(first, last), 0.0, move), rise


def _pairs(points: Tensor, firsts: Tensor, paf: Tensor, skeleton: Skeleton, spec: FastSpec) -> Tensor:
    """(m, 4) first and second peak, limb and score of the pairs that paf (N, h, w, 2L) connects, by image and limb."""
    limbs = np.array(skeleton.limbs)
    shape = len(paf), skeleton.n_keypoints
    starts, counts = ops.reshape(firsts[:-1], shape), ops.reshape(firsts[1:] - firsts[:-1], shape)
    starts = [ops.reshape(ops.take(starts, side, axis=1), (-1,)) for side in limbs.T]  # (N * L,) each
    counts = [ops.reshape(ops.take(counts, side, axis=1), (-1,)) for side in limbs.T]
    ends = ops.cumsum(counts[0] * counts[1])
    total = int(ends[-1])
    found = []
    for start in range(0, max(total, 1), _PORTION):
        pair = ops.arange(start, min(start + _PORTION, total), dtype="int64")
        group = ops.cast(ops.searchsorted(ends, pair, side="right"), "int64")  # image and limb
        place = pair - ops.take(ends - counts[0] * counts[1], group)
        first = ops.take(starts[0], group) + place // ops.take(counts[1], group)
        second = ops.take(starts[1], group) + place % ops.take(counts[1], group)
        peaks = ops.take(points, first, axis=0), ops.take(points, second, axis=0)
        score, connected = _along(*peaks, paf, group, spec)
        columns = [*(ops.cast(each, "float64") for each in (first, second, group % len(limbs))), score]
        found.append(ops.take(ops.stack(columns, axis=1), ops.nonzero(connected)[0], axis=0))
    return ops.concatenate(found)


def _along(start: Tensor, end: Tensor, paf: Tensor, field: Tensor, spec: FastSpec) -> tuple[Tensor, Tensor]:
    """Scores (m,) of the pairs from `start` to `end` (m, 3), and which are connected; `field`: image and limb."""
    step = end[:, :2] - start[:, :2]
    length = ops.sqrt(ops.sum(step * step, axis=1))
    away = ops.maximum(length, 1e-12)
    ways = ops.convert_to_tensor(np.linspace(0, 1, spec.samples))
    places = start[:, None, :2] + ways[:, None] * step[:, None]  # (m, samples, 2)
    values = ops.sum(_between(paf, field, places) * step[:, None], axis=-1) / away[:, None]
    prior = ops.minimum(0.5 * paf.shape[1] / away - 1, 0.0)
    score = (ops.mean(values, axis=1) + prior) * (start[:, 2] * end[:, 2]) ** spec.strength
    missed = ops.sum(ops.cast(values <= spec.paf_threshold, "int64"), axis=1)
    return score, ops.logical_and(ops.logical_and(length > 0, missed <= spec.misses), score > 0)


def _between(paf: Tensor, field: Tensor, places: Tensor) -> Tensor:
    """(m, samples, 2) of the fields numbered `field` (m,) at places (m, samples, 2) between their cells."""
    _, h, w, channels = paf.shape
    fields = ops.reshape(paf, (-1, 2))  # (N * h * w * L, 2)
    image, limb = (field // (channels // 2))[:, None], (field % (channels // 2))[:, None]

    def at(row: Tensor, column: Tensor) -> Tensor:
        cells = ((image * h + row) * w + column) * (channels // 2) + limb
        return ops.cast(ops.take(fields, cells, axis=0), "float64")

    x, y = ops.clip(places[..., 0], 0, w - 1), ops.clip(places[..., 1], 0, h - 1)
    left, top = ops.minimum(ops.cast(x, "int64"), max(w - 2, 0)), ops.minimum(ops.cast(y, "int64"), max(h - 2, 0))
    right, bottom = ops.minimum(left + 1, w - 1), ops.minimum(top + 1, h - 1)
    x, y = (x - ops.cast(left, "float64"))[..., None], (y - ops.cast(top, "float64"))[..., None]
    upper = at(top, left) * (1 - x) + at(top, right) * x
    lower = at(bottom, left) * (1 - x) + at(bottom, right) * x
    return upper * (1 - y) + lower * y
