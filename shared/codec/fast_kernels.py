"""The loops of the fast decoder, compiled where numba is installed: peaks, limbs, people.

Coordinates are cells of the network's maps.  `peaks` and `pairs` have the same answer from NumPy, in
`shared.codec.fast_numpy`; the others deal with candidates only and run as plain Python where there is no numba.
"""

import math

import numpy as np

from shared.codec.fast_numpy import BRIGHTEST, DARKEST, FLATTEST, FURTHEST, SIDE
from shared.jit import njit

_GUESS = 1.0  # what the odds of two single peaks lose, since their size is fitted to them


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


@njit
def assemble(kinds, ends, owners, scores, n_limbs, n_keypoints):  # type: ignore[no-untyped-def]
    """People from connections, the best first: (P, K) peak numbers or -1, and (P,) sums of limb scores.

    A connection unites two people unless both have a keypoint of one kind; a peak has one connection of each limb.
    Peaks that nothing connects are people of one keypoint.
    """
    n = len(kinds)
    person = np.arange(n)
    slots = np.full((n, n_keypoints), -1)
    sums = np.zeros(n)
    for i in range(n):
        slots[i, kinds[i]] = i
    starting, ending = np.zeros((n_limbs, n), np.bool_), np.zeros((n_limbs, n), np.bool_)
    for c in np.argsort(-scores, kind="mergesort"):
        limb, a, b = owners[c], ends[c, 0], ends[c, 1]
        if starting[limb, a] or ending[limb, b]:
            continue
        first, second = person[a], person[b]
        if first != second:
            if _conflict(slots[first], slots[second]):
                continue
            _unite(slots, person, first, second)
            sums[first] += sums[second]
        starting[limb, a], ending[limb, b] = True, True
        sums[first] += scores[c]
    whole = np.unique(person)
    return slots[whole], sums[whole]


@njit
def _conflict(first, second):  # type: ignore[no-untyped-def]
    for k in range(len(first)):  # noqa: SIM110 (numba compiles no generator)
        if first[k] >= 0 and second[k] >= 0:
            return True
    return False


@njit
def _unite(slots, person, first, second):  # type: ignore[no-untyped-def]
    for k in range(slots.shape[1]):
        peak = slots[second, k]
        if peak >= 0:
            slots[first, k] = peak
            slots[second, k] = -1
            person[peak] = first


@njit
def join(slots, sums, points, tables, odds, height, sure):  # type: ignore[no-untyped-def]
    """Unite pieces whose places to each other make one body likely, the likeliest first; (P, K) and (P,) as before.

    `tables` are those of `shared.codec.body.Body`, in its order.  `odds`: of the density of the most telling pair of
    keypoints against one per square body length, as a logarithm.  Pieces of one keypoint below `height` are left
    alone; two pieces of one have no size but their distance, and must both be `sure` high and a little likelier.
    """
    n = len(slots)
    sizes, counts = np.zeros(n), np.zeros(n, np.int64)
    for i in range(n):
        sizes[i], counts[i] = _size(slots[i], points, tables[2]), (slots[i] >= 0).sum()
    pieces = np.array([i for i in range(n) if counts[i] > 1 or points[slots[i].max(), 2] >= height], np.int64)
    piece_of = np.full(len(points), -1)
    for i in pieces:
        for k in range(slots.shape[1]):
            if slots[i, k] >= 0:
                piece_of[slots[i, k]] = i
    again = True
    while again:
        again = False
        pieces = pieces[counts[pieces] > 0]
        first, second, likely = _likely(pieces, slots, points, sizes, counts, tables, odds, sure)
        for c in np.argsort(-likely, kind="mergesort"):
            i, j = piece_of[first[c]], piece_of[second[c]]
            if i == j or not _odds(i, j, slots, points, sizes, counts, tables, sure) > odds:
                continue
            _unite(slots, piece_of, i, j)
            sums[i] += sums[j]
            counts[i], counts[j] = counts[i] + counts[j], 0
            sizes[i] = _size(slots[i], points, tables[2])
            again = True
    return slots[counts > 0], sums[counts > 0]


@njit
def _size(slots, points, square):  # type: ignore[no-untyped-def]
    """Body length in cells that fits a piece's distances best, 0 if it has none."""
    total, n = 0.0, 0
    for a in range(len(slots)):
        for b in range(a):
            if slots[a] >= 0 and slots[b] >= 0 and square[a, b] < np.inf:
                dx = points[slots[a], 0] - points[slots[b], 0]
                dy = points[slots[a], 1] - points[slots[b], 1]
                total += (dx * dx + dy * dy) / square[a, b]
                n += 1
    return math.sqrt(total / n) if n else 0.0


@njit
def _likely(pieces, slots, points, sizes, counts, tables, odds, sure):  # type: ignore[no-untyped-def]
    """Pairs of pieces that may be one person, by a peak of each: first and second (m,); and their odds (m,)."""
    first, second, likely = [0], [0], [0.0]  # numba wants to know the types
    for place, i in enumerate(pieces):
        for j in pieces[:place]:
            found = _odds(i, j, slots, points, sizes, counts, tables, sure)
            if found > odds:
                first.append(slots[i].max())
                second.append(slots[j].max())
                likely.append(found)
    return np.array(first)[1:], np.array(second)[1:], np.array(likely)[1:]


@njit
def _odds(i, j, slots, points, sizes, counts, tables, sure):  # type: ignore[no-untyped-def]
    """Logarithm of the density of the pair of keypoints that tells most; -inf where two pieces cannot be one."""
    if _conflict(slots[i], slots[j]):
        return -np.inf
    mean, variance, square, spread = tables
    guess = 0.0
    if sizes[i] > 0 and sizes[j] > 0:
        share = counts[i] / (counts[i] + counts[j])
        size = sizes[i] ** share * sizes[j] ** (1 - share)
    elif sizes[i] > 0 or sizes[j] > 0:
        size = max(sizes[i], sizes[j])
    else:
        a, b = slots[i].max(), slots[j].max()
        if min(points[a, 2], points[b, 2]) < sure:
            return -np.inf
        distance = (points[a, 0] - points[b, 0]) ** 2 + (points[a, 1] - points[b, 1]) ** 2
        size = math.sqrt(distance / square[slots[i].argmax(), slots[j].argmax()])
        guess = _GUESS
        if size == 0:
            return -np.inf
    least, found = 1e5, -np.inf
    for a in range(slots.shape[1]):
        if slots[i, a] < 0:
            continue
        for b in range(slots.shape[1]):
            if slots[j, b] >= 0 and spread[a, b] < least:
                least = spread[a, b]
                dx = (points[slots[j, b], 0] - points[slots[i, a], 0]) / size - mean[a, b, 0]
                dy = (points[slots[j, b], 1] - points[slots[i, a], 1]) / size - mean[a, b, 1]
                found = -0.5 * (dx * dx / variance[a, b, 0] + dy * dy / variance[a, b, 1]) - least
    return found - guess
