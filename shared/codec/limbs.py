"""Limbs: which peaks the affinity field connects."""

import numpy as np

from shared.codec.spec import DecodeSpec

_NO_LENGTH = 1e-12
_MOST_SAMPLES = 25  # OpenPose


def connect(
    starts: np.ndarray, ends: np.ndarray, field: np.ndarray, spec: DecodeSpec, cell: int = 1
) -> list[tuple[int, int, float]]:
    """Greedy one-to-one connections between two kinds of peaks: (index of start, index of end, score).

    `starts`, `ends` are (n, 3) peaks; `field` (h, w, 2) is the limb's PAF, one cell of which is `cell` px of the
    peaks' coordinates.  The best score goes first; of equal ones the first in raster order.
    """
    if not len(starts) or not len(ends):
        return []
    score, accepted = score_pairs(starts, ends, field, spec, cell)
    a, b = np.nonzero(accepted)
    used_a, used_b, found = set(), set(), []
    for i in np.argsort(-score[a, b], kind="stable"):
        start, end = int(a[i]), int(b[i])
        if start not in used_a and end not in used_b:
            found.append((start, end, float(score[start, end])))
            used_a.add(start)
            used_b.add(end)
    return found


def score_pairs(
    starts: np.ndarray, ends: np.ndarray, field: np.ndarray, spec: DecodeSpec, cell: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """For every pair (nA, nB) its score, and whether it is accepted."""
    step = ends[None, :, :2] - starts[:, None, :2]  # (nA, nB, 2)
    length = np.linalg.norm(step, axis=-1)
    unit = step / np.maximum(length, _NO_LENGTH)[..., None]
    points, counted = _points(starts[:, None, :2], step, spec)  # (nA, nB, S, 2), (nA, nB, S)
    value = np.einsum("abse,abe->abs", _sample(field, points, spec, cell), unit)
    passing = (value > spec.paf_threshold) & counted
    chosen = passing if spec.mean == "passing" else counted
    score = (value * chosen).sum(-1) / np.maximum(chosen.sum(-1), 1)
    height, width = (side * cell for side in field.shape[:2])
    if spec.prior:
        score = score + np.minimum(0.5 * height / np.maximum(length, _NO_LENGTH) - 1, 0)
    enough = passing.sum(-1) > spec.limb_fraction * counted.sum(-1) + 1e-9  # 0.8 * 10 may be 8.000000000000002
    close = ~enough & (length < spec.close_pairs * np.sqrt(height * width))
    score = np.where(close, spec.peak_threshold + 1e-6, score)
    return score, (length > 0) & (enough | close) & (score > spec.min_limb_score)


def _points(starts: np.ndarray, step: np.ndarray, spec: DecodeSpec) -> tuple[np.ndarray, np.ndarray]:
    """Where the field is read along each pair, (nA, nB, S, 2), and which of these points count, (nA, nB, S)."""
    n = np.full(step.shape[:2], spec.samples)
    if not spec.samples:  # OpenPose: longer limbs, more samples
        n = np.clip(np.floor(np.sqrt(5 * np.abs(step).max(-1)) + 0.5), 5, _MOST_SAMPLES).astype(int)
    index = np.arange(n.max(initial=0))
    counted = index < n[..., None]
    stride = step / (n - spec.far_end)[..., None]  # as np.linspace divides first
    index = np.minimum(index, n[..., None] - 1)  # points that do not count stay on the limb
    return starts[:, :, None] + index[..., None] * stride[:, :, None], counted


def _sample(field: np.ndarray, points: np.ndarray, spec: DecodeSpec, cell: int) -> np.ndarray:
    """The field at the nearest pixels to `points` (..., 2)."""
    nearest = np.rint(points) if spec.rounding == "even" else np.floor(points + 0.5)
    x, y = np.moveaxis(nearest.astype(int) // cell, -1, 0)
    return field[np.clip(y, 0, field.shape[0] - 1), np.clip(x, 0, field.shape[1] - 1)]
