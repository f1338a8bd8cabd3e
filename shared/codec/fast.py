"""The fast decoder: people straight from the network's maps, and more of them.

Nothing is enlarged: peaks are sought on the cells and placed between them, limbs are read between cells.  Connections
unite people the best first, whatever their limb; pieces that no limb connects are joined where a body is likely.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from shared import jit
from shared.codec import fast_numpy, reference
from shared.codec.body import body
from shared.codec.spec import FastSpec, Maps
from shared.person import Pose
from shared.skeleton import Skeleton

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # (m, 2) numbers of peaks, (m,) limbs, (m,) scores
Place = tuple[float, float]


class Candidates(NamedTuple):
    """What the maps of an image may hold: `points` and `firsts` as of `peaks`, `connections` as of `pairs`."""

    points: np.ndarray
    firsts: np.ndarray
    connections: Pairs


def decode(maps: Maps, skeleton: Skeleton, spec: FastSpec) -> list[Pose]:
    """People from maps at the network's resolution; their keypoints in image pixels.

    A network without PAFs (hand, face) sees one person: the maximum of each heatmap.
    """
    if not skeleton.limbs:
        return [reference.single(maps, skeleton)]
    points, firsts = peaks(maps.heat, skeleton.n_keypoints, spec)
    found = Candidates(points, firsts, pairs(points, firsts, maps.paf, skeleton, spec))
    return poses(found, skeleton, spec, maps.to_image, maps.shift, maps.cell)


def peaks(heat: np.ndarray, n_keypoints: int, spec: FastSpec) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of heat (h, w, C): (n, 3) x, y in cells and height, and (K + 1,) where each keypoint's begin."""
    if not jit.available():
        return fast_numpy.peaks(np.asarray(heat, np.float32), n_keypoints, spec)
    from shared.codec import fast_kernels

    cells = np.ascontiguousarray(heat, np.float32)
    threshold = fast_numpy.threshold(cells, n_keypoints, spec)
    found = fast_kernels.peaks(cells, n_keypoints, threshold, spec.curvature, spec.refine is not None)
    return found[0], found[1]


def pairs(points: np.ndarray, firsts: np.ndarray, paf: np.ndarray, skeleton: Skeleton, spec: FastSpec) -> Pairs:
    """Every pair of peaks that the field of a limb, paf (h, w, 2L), connects."""
    if not jit.available():
        return fast_numpy.pairs(points, firsts, paf, skeleton, spec)
    from shared.codec import fast_kernels

    found = fast_kernels.pairs(
        points, firsts, np.ascontiguousarray(paf, np.float32), _limbs(skeleton), spec.samples, spec.paf_threshold,
        spec.misses, spec.strength,
    )  # fmt: skip
    return found[0], found[1], found[2]


def people(
    points: np.ndarray, firsts: np.ndarray, connections: Pairs, skeleton: Skeleton, spec: FastSpec
) -> tuple[np.ndarray, np.ndarray]:
    """People (P, K) as numbers of peaks, -1 where there is none, and (P,) the sums of their limbs' scores."""
    from shared.codec import fast_people

    kinds = np.repeat(np.arange(skeleton.n_keypoints), np.diff(firsts))
    slots, sums = fast_people.assemble(kinds, *connections, len(skeleton.limbs), skeleton.n_keypoints)
    if spec.join is not None:
        prior = body(skeleton)
        tables = prior.mean, prior.variance, prior.square, prior.spread
        slots, sums = fast_people.join(slots, sums, points, tables, spec.join, spec.join_height, spec.keep)
    return slots, sums


def poses(
    found: Candidates, skeleton: Skeleton, spec: FastSpec, to_image: Place, shift: Place, cell: int
) -> list[Pose]:
    """The people that are sure enough; their keypoints in image pixels, by the last three of `Maps`."""
    points = found.points
    if not len(points):
        return []
    slots, sums = people(*found, skeleton, spec)
    is_found = slots >= 0
    counts = is_found.sum(axis=1)
    heights = np.where(is_found, points[slots, 2], 0).sum(axis=1)
    kept = (counts >= spec.min_keypoints) & (heights >= spec.keep * np.sqrt(counts))
    scores = (heights + sums) / (counts if spec.score == "mean" else 1)
    places = points.astype(np.float32)
    places[:, :2] = (points[:, :2] * cell + (cell - 1) / 2) * to_image + np.array(shift)
    places[:, 2] = np.minimum(points[:, 2], 1)
    keypoints = np.where(is_found[..., None], places[slots], 0)
    return [Pose(keypoints[i], float(scores[i])) for i in np.nonzero(kept)[0]]


def by_image(points: np.ndarray, firsts: np.ndarray, pairs: np.ndarray, n_keypoints: int) -> list[Candidates]:
    """The candidates of each of N images.

    `points` (n, 3) are of all, image by image; `firsts` (N * K + 1,) says where each image's keypoints begin; `pairs`
    (m, 4) are each two peaks, a limb and a score.
    """
    found = []
    for first in range(0, len(firsts) - 1, n_keypoints):
        own = firsts[first : first + n_keypoints + 1]
        start, end = own[0], own[-1]
        rows = pairs[(pairs[:, 0] >= start) & (pairs[:, 0] < end)]
        connections = rows[:, :2].astype(np.int64) - start, rows[:, 2].astype(np.int64), rows[:, 3].copy()
        found.append(Candidates(points[start:end].copy(), own - start, connections))  # as numba has compiled for
    return found


@cache
def _limbs(skeleton: Skeleton) -> np.ndarray:
    return np.array(skeleton.limbs)
