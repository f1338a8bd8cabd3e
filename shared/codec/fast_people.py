"""The fast decoder's people, from candidates: compiled where numba is installed, else plain Python."""

import math

import numpy as np

from shared.jit import njit

_GUESS = 1.0  # what the odds of two single peaks lose, since their size is fitted to them


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
