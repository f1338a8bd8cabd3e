"""The fast decoder's work on maps where they are, on a GPU too: scales as one, peaks, limbs; only candidates leave.

The rules and the answer are those of `shared.codec.fast`, which makes people of the candidates.  All are found, however
many: peaks have no limit, and pairs are scored in portions, so that memory has one.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from shared.codec import fast
from shared.codec.fast import Candidates
from shared.codec.fast_numpy import BRIGHTEST, DARKEST, FLATTEST, FURTHEST, QUARTER, SIDE, noise_step
from shared.codec.spec import FastSpec
from shared.merging import View, mirrored_channels
from shared.skeleton import Skeleton

_PORTION = 2**17  # pairs of peaks; at 10 samples a limb they take 0.3 GB


@torch.inference_mode()
def merge(
    plain: Sequence[Mapping[str, Tensor]],
    flipped: Sequence[Mapping[str, Tensor]],
    views: Sequence[View],
    skeleton: Skeleton,
) -> dict[str, Tensor]:
    """The mean of an image's maps (C, h, w) of all scales and, if there are, of its mirrored ones.

    `views` are of `shared.merging.views`; the answer is that of `shared.merging.merge` at the resolution "stride".
    """
    merged = {}
    for name in plain[0]:
        maps = [each[name] for each in plain]
        order, sign = (torch.tensor(each, device=maps[0].device) for each in mirrored_channels(name, skeleton))
        maps += [each[name][order].flip(-1) * sign[:, None, None] for each in flipped]
        parts = [_read(torch.stack([maps[i] for i in view.sources]).sum(0), view) for view in views]
        merged[name] = torch.stack(parts).sum(0) / len(maps)
    return merged


def _read(array: Tensor, view: View) -> Tensor:
    """A map (C, h, w) at the view's cells."""
    if view.rows is None or view.columns is None:
        return array
    rows, columns = (torch.from_numpy(each).to(array.device) for each in (view.rows, view.columns))
    return rows @ array @ columns.T


@torch.inference_mode()
def candidates(maps: Sequence[Mapping[str, Tensor]], skeleton: Skeleton, spec: FastSpec) -> list[Candidates]:
    """Peaks and pairs of every image's maps: heat (K + 1, h, w) and paf (2L, h, w), of one size."""
    k = skeleton.n_keypoints
    points, firsts = _peaks(torch.stack([each["heat"][:k] for each in maps]), spec)
    pairs = _pairs(points, firsts, torch.stack([each["paf"] for each in maps]), skeleton, spec)
    return fast.by_image(points.cpu().numpy(), firsts.cpu().numpy(), pairs.cpu().numpy(), k)


def _peaks(heat: Tensor, spec: FastSpec) -> tuple[Tensor, Tensor]:
    """(n, 3) x, y, height of the peaks of heat (N, K, h, w), float64, by image and keypoint; (N * K + 1,) firsts."""
    is_largest = (heat > _threshold(heat, spec)) & (heat == F.max_pool2d(heat, 3, stride=1, padding=1))
    places = torch.nonzero(is_largest)
    patches = _patches(heat, places)
    first = torch.nonzero((patches.flatten(1)[:, :4] < patches[:, 1, 1:2]).all(dim=1))[:, 0]  # of equal neighbours
    places, patches = places[first], patches[first]
    image, keypoint, y, x = places.T
    groups = torch.arange(heat.shape[0] * heat.shape[1] + 1, device=heat.device)
    firsts = torch.searchsorted(image * heat.shape[1] + keypoint, groups)
    height = patches[:, 1, 1]
    if spec.refine is None:
        return torch.stack([x, y, height], dim=1), firsts
    move_x, rise_x = _vertex(_mean(patches, dim=1), spec.curvature)
    move_y, rise_y = _vertex(_mean(patches, dim=2), spec.curvature)
    height = (height * torch.exp(rise_x + rise_y)).clamp(max=BRIGHTEST)
    return torch.stack([x + move_x, y + move_y, height], dim=1), firsts


def _threshold(heat: Tensor, spec: FastSpec) -> Tensor | float:
    """A cell's least value to be a peak of heat (N, K, h, w), (N, 1, 1, 1): see `shared.codec.fast_numpy.threshold`."""
    if not spec.noise:
        return spec.peak_threshold
    step = noise_step(*heat.shape[2:])
    values = heat[..., ::step, ::step].abs().flatten(1)
    quarter = values.kthvalue(values.shape[1] // 4 + 1, dim=1).values
    return (spec.noise / QUARTER * quarter).clamp(min=spec.peak_threshold).view(-1, 1, 1, 1)


def _patches(heat: Tensor, places: Tensor) -> Tensor:
    """(n, 3, 3) float64 around places (n, 4) of heat (N, K, h, w), -inf outside the map."""
    padded = F.pad(heat, (1, 1, 1, 1), value=-torch.inf)
    image, keypoint, y, x = places[:, :, None, None].unbind(1)  # (n, 1, 1)
    steps = torch.arange(3, device=heat.device)
    return padded[image, keypoint, y + steps[:, None], x + steps].double()


def _mean(patches: Tensor, dim: int) -> Tensor:
    """(n, 3) weighted means across patches, -1 outside the map."""
    weights = torch.tensor((SIDE, 1.0, SIDE), dtype=patches.dtype, device=patches.device)
    weights = weights.view((3, 1) if dim == 1 else (1, 3)) * patches.isfinite()
    total = (weights * patches.clamp(min=0)).sum(dim)
    return torch.where(patches.select(dim, 1).isfinite(), total / weights.sum(dim).clamp(min=SIDE), -1)


def _vertex(values: Tensor, curvature: float) -> tuple[Tensor, Tensor]:
    """Moves and rises (n,) of the parabolas through the logarithms of values (n, 3)."""
    before, middle, after = values.clamp(min=DARKEST).log().unbind(1)
    first, last = values[:, 0] < 0, values[:, 2] < 0
    bend = (2 * middle - before - after).clamp(min=FLATTEST * curvature)
    move = (0.5 * (after - before) / bend).clamp(-FURTHEST, FURTHEST)
    rise = torch.where(first | last, 0, 0.25 * (after - before) * move)
    move = torch.where(first, (0.5 + (after - middle) / curvature).clamp(-1, 0.5), move)
    move = torch.where(last, (-0.5 - (before - middle) / curvature).clamp(-0.5, 1), move)
    return torch.where(first & last, 0, move), rise


def _pairs(points: Tensor, firsts: Tensor, paf: Tensor, skeleton: Skeleton, spec: FastSpec) -> Tensor:
    """(m, 4) first and second peak, limb and score of the pairs that paf (N, 2L, h, w) connects, by image and limb."""
    limbs = torch.tensor(skeleton.limbs, device=paf.device).T  # (2, L)
    starts = firsts[:-1].view(len(paf), -1)[:, limbs].transpose(0, 1).flatten(1)  # (2, N * L)
    counts = firsts.diff().view(len(paf), -1)[:, limbs].transpose(0, 1).flatten(1)
    ends = counts.prod(0).cumsum(0)
    total = int(ends[-1])
    found = []
    for start in range(0, max(total, 1), _PORTION):
        pair = torch.arange(start, min(start + _PORTION, total), device=paf.device)
        group = torch.searchsorted(ends, pair, right=True)  # image and limb
        place = pair - (ends - counts.prod(0))[group]
        first = starts[0][group] + place // counts[1][group]
        second = starts[1][group] + place % counts[1][group]
        score, connected = _along(points[first], points[second], paf.unflatten(1, (-1, 2)).flatten(0, 1), group, spec)
        columns = [first, second, group % limbs.shape[1], score]
        found.append(torch.stack(columns, dim=1)[torch.nonzero(connected)[:, 0]])
    return torch.cat(found)


def _along(start: Tensor, end: Tensor, fields: Tensor, field: Tensor, spec: FastSpec) -> tuple[Tensor, Tensor]:
    """Scores (m,) of the pairs from `start` to `end` (m, 3), and which are connected; fields are (N * L, 2, h, w)."""
    step = end[:, :2] - start[:, :2]
    length = torch.hypot(step[:, 0], step[:, 1])
    away = length.clamp(min=1e-12)
    ways = torch.linspace(0, 1, spec.samples, dtype=step.dtype, device=step.device)
    places = start[:, None, :2] + ways[:, None] * step[:, None]  # (m, samples, 2)
    values = (_between(fields, field, places) * step[:, None]).sum(-1) / away[:, None]
    prior = (0.5 * fields.shape[2] / away - 1).clamp(max=0)
    score = (values.mean(1) + prior) * (start[:, 2] * end[:, 2]) ** spec.strength
    missed = (values <= spec.paf_threshold).sum(1)
    return score, (length > 0) & (missed <= spec.misses) & (score > 0)


def _between(fields: Tensor, field: Tensor, places: Tensor) -> Tensor:
    """(m, samples, 2) of the fields numbered `field` (m,) at places (m, samples, 2) between their cells."""
    h, w = fields.shape[2:]
    x, y = places[..., 0].clamp(0, w - 1), places[..., 1].clamp(0, h - 1)
    left, top = x.long().clamp(max=max(w - 2, 0)), y.long().clamp(max=max(h - 2, 0))
    right, bottom = (left + 1).clamp(max=w - 1), (top + 1).clamp(max=h - 1)
    x, y = (x - left)[..., None], (y - top)[..., None]
    field = field[:, None]
    upper = fields[field, :, top, left] * (1 - x) + fields[field, :, top, right] * x
    lower = fields[field, :, bottom, left] * (1 - x) + fields[field, :, bottom, right] * x
    return upper * (1 - y) + lower * y
