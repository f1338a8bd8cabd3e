"""The loops of the fast decoder over maps, compiled: peaks and limbs.  `shared.codec.fast_numpy` has the same answer.

Coordinates are cells of the network's maps.
"""

import math

import numpy as np

from shared.codec.fast_numpy import BRIGHTEST, DARKEST, FLATTEST, FURTHEST, SIDE
from shared.jit import njit


@njit
def peaks(heat, n_keypoints, threshold, curvature, refine):  # type: ignore[no-untyped-def]
    """Local maxima of heat (h, w, C) above `threshold`: (n, 3) x, y, height by keypoint; and where each begins.

    Of equal neighbours the first in raster order counts.  `curvature`: of the logarithm of a drawn peak, per cell^2.
    """
    found = _maxima(heat, n_keypoints, threshold)
    firsts = np.zeros(n_keypoints + 1, np.int64)
    for k, _, _ in found:
        firsts[k + 1] += 1
    firsts = np.cumsum(firsts)
    filled = firsts.copy()
    out = np.empty((len(found), 3))
    for k, x, y in found:
        place = filled[k]
        filled[k] += 1
        if refine:
            _locate(heat, y, x, k, curvature, out[place])
        else:
            out[place, 0], out[place, 1], out[place, 2] = x, y, heat[y, x, k]
    return out, firsts


@njit
def _maxima(heat, n_keypoints, threshold):  # type: ignore[no-untyped-def]
    """(n, 3) keypoint, x, y in raster order."""
    w, channels = heat.shape[1:]
    values = heat.ravel()
    bright = np.empty(len(values), np.int64)
    n = 0
    for i in range(len(values)):  # nothing else in this loop: it sees every value
        if values[i] > threshold:
            bright[n] = i
            n += 1
    found = np.empty((n, 3), np.int64)
    n = 0
    for i in bright[: len(found)]:
        k, x, y = i % channels, i // channels % w, i // channels // w
        if k < n_keypoints and _is_maximum(heat, y, x, k):
            found[n] = k, x, y
            n += 1
    return found[:n]


@njit
def _is_maximum(heat, y, x, k):  # type: ignore[no-untyped-def]
    h, w = heat.shape[:2]
    value = heat[y, x, k]
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            row, column = y + dy, x + dx
            if 0 <= row < h and 0 <= column < w:
                earlier = dy < 0 or (dy == 0 and dx < 0)
                if heat[row, column, k] > value or (earlier and heat[row, column, k] == value):
                    return False
    return True


@njit
def _locate(heat, y, x, k, curvature, out):  # type: ignore[no-untyped-def]
    """Invert the Gaussian: the parabola through three logarithms along x and y, of rows and columns added up."""
    along_x, along_y = np.empty(3), np.empty(3)
    for i in range(3):
        along_x[i] = _mean(heat, y - 1, x - 1 + i, 1, 0, k)
        along_y[i] = _mean(heat, y - 1 + i, x - 1, 0, 1, k)
    move_x, rise_x = _vertex(along_x, curvature)
    move_y, rise_y = _vertex(along_y, curvature)
    out[0], out[1] = x + move_x, y + move_y
    out[2] = min(heat[y, x, k] * math.exp(rise_x + rise_y), BRIGHTEST)


@njit
def _mean(heat, y, x, down, right, k):  # type: ignore[no-untyped-def]
    """Weighted mean of three values from (y, x) on, of those inside the map; -1 where the middle one is outside."""
    h, w = heat.shape[:2]
    total, weights = 0.0, 0.0
    for i in range(3):
        row, column = y + i * down, x + i * right
        if 0 <= row < h and 0 <= column < w:
            weight = 1.0 if i == 1 else SIDE
            total += weight * max(heat[row, column, k], 0.0)
            weights += weight
        elif i == 1:
            return -1.0
    return total / weights


@njit
def _vertex(values, curvature):  # type: ignore[no-untyped-def]
    """Where the parabola through the logarithms of three values is highest, from the middle; and how much higher.

    At the map's border there are two values, and the curvature is taken as drawn.
    """
    middle = math.log(max(values[1], DARKEST))
    before, after = math.log(max(values[0], DARKEST)), math.log(max(values[2], DARKEST))
    if values[0] < 0 and values[2] < 0:
        return 0.0, 0.0
    if values[0] < 0:
        return min(max(0.5 + (after - middle) / curvature, -1.0), 0.5), 0.0
    if values[2] < 0:
        return min(max(-0.5 - (before - middle) / curvature, -0.5), 1.0), 0.0
    bend = max(2 * middle - before - after, FLATTEST * curvature)
    move = min(max(0.5 * (after - before) / bend, -FURTHEST), FURTHEST)
    return move, 0.25 * (after - before) * move


@njit
def pairs(points, firsts, paf, limbs, samples, threshold, misses, strength):  # type: ignore[no-untyped-def]
    """Peaks that a limb may connect: (m, 2) peak numbers, (m,) limbs, (m,) scores, limb by limb.

    The field is read between cells at `samples` points from peak to peak; more than `misses` of them at or below
    `threshold` end it.  The score is their mean, less for limbs longer than half the map's height, times the peaks'
    heights to the power `strength`.
    """
    ways = np.linspace(0, 1, samples)
    ways = ways[np.argsort(np.abs(ways - 0.45) % 0.25)]  # spread, not from one end: what is no limb fails early
    ends = np.empty((256, 2), np.int64)
    owners, scores = np.empty(256, np.int64), np.empty(256)
    n = 0
    for limb in range(len(limbs)):
        a, b = limbs[limb]
        for i in range(firsts[a], firsts[a + 1]):
            partners, found = _partners(points, i, firsts[b], firsts[b + 1], paf, limb, ways, threshold, misses)
            if n + len(partners) > len(owners):
                more = np.empty((len(owners) + len(partners), 2), np.int64)
                ends, owners = np.concatenate((ends, more)), np.concatenate((owners, more[:, 0]))
                scores = np.concatenate((scores, np.empty(len(more))))
            for place, j in enumerate(partners):
                ends[n, 0], ends[n, 1], owners[n] = i, j, limb
                scores[n] = found[place] * (points[i, 2] * points[j, 2]) ** strength
                n += 1
    return ends[:n], owners[:n], scores[:n]


@njit
def _partners(points, i, first, last, paf, limb, ways, threshold, misses):  # type: ignore[no-untyped-def]
    """The peaks from `first` to `last` that the field connects peak i with, and the limbs' scores."""
    half = 0.5 * paf.shape[0]
    found, scores = np.empty(last - first, np.int64), np.empty(last - first)
    n = 0
    x, y = points[i, 0], points[i, 1]
    for j in range(first, last):
        dx, dy = points[j, 0] - x, points[j, 1] - y
        length = math.sqrt(dx * dx + dy * dy)
        if length > 0:
            score = _along(paf, limb, x, y, dx, dy, length, ways, threshold, misses) + min(half / length - 1, 0.0)
            if score > 0:
                found[n], scores[n] = j, score
                n += 1
    return found[:n], scores[:n]


@njit
def _along(paf, limb, start_x, start_y, dx, dy, length, ways, threshold, misses):  # type: ignore[no-untyped-def]
    """Mean of the limb's field along the way from the start, in its direction; -1 after too many misses."""
    h, w = paf.shape[:2]
    c = 2 * limb
    total, missed = 0.0, 0
    for way in ways:
        x = min(max(start_x + way * dx, 0.0), w - 1.0)
        y = min(max(start_y + way * dy, 0.0), h - 1.0)
        left, top = min(int(x), max(w - 2, 0)), min(int(y), max(h - 2, 0))
        right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
        x, y = x - left, y - top
        a, b, e, f = (1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y
        along_x = a * paf[top, left, c] + b * paf[top, right, c] + e * paf[bottom, left, c] + f * paf[bottom, right, c]
        c += 1
        along_y = a * paf[top, left, c] + b * paf[top, right, c] + e * paf[bottom, left, c] + f * paf[bottom, right, c]
        c -= 1
        value = (along_x * dx + along_y * dy) / length
        if value <= threshold:
            missed += 1
            if missed > misses:
                return -1.0
        total += value
    return total / len(ways)
