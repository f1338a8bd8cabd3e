"""The reference decoder: peaks, limbs, people, exactly as a named original does it."""

from itertools import pairwise

import numpy as np

from shared.codec import limbs, peaks
from shared.codec.assembly import EMPTY, Peaks, Row, assemble
from shared.codec.spec import DecodeSpec, Maps
from shared.person import Pose
from shared.skeleton import Skeleton


def decode(maps: Maps, skeleton: Skeleton, spec: DecodeSpec) -> list[Pose]:
    """People from maps at the resolution that `spec` asks for; their keypoints in image pixels.

    A network without PAFs (hand, face) sees one person: the maximum of each heatmap, as OpenPose does.
    """
    if not skeleton.limbs:
        return [single(maps, skeleton, spec.offset)]
    found = [peaks.find(np.ascontiguousarray(maps.heat[..., k]), spec) for k in range(skeleton.n_keypoints)]
    firsts = np.cumsum([0, *map(len, found)]).tolist()
    candidates = np.concatenate(found)  # (n, 3)
    numbered = Peaks([range(*ends) for ends in pairwise(firsts)], candidates[:, 2])
    connections = []
    for limb in skeleton.decode_order:
        a, b = skeleton.limbs[limb]
        pairs = limbs.connect(found[a], found[b], maps.paf[..., 2 * limb : 2 * limb + 2], spec, maps.cell)
        connections.append([(firsts[a] + i, firsts[b] + j, score) for i, j, score in pairs])
    rows = assemble(connections, numbered, skeleton, spec)
    return [_pose(row, candidates, maps, skeleton, spec) for row in prune(rows, skeleton, spec)]


def prune(rows: list[Row], skeleton: Skeleton, spec: DecodeSpec) -> list[Row]:
    """The rows with enough keypoints and score; OpenPose tries again without its foot rule if none has."""
    feet = [k for k, name in enumerate(skeleton.keypoints) if name.endswith(("_toe", "_heel"))]
    if spec.foot_rule and feet:
        kept = [row for row in rows if _keep(row, feet, spec)]
        if kept:
            return kept
    return [row for row in rows if _keep(row, [], spec)]


def _keep(row: Row, uncounted: list[int], spec: DecodeSpec) -> bool:
    n_uncounted = sum(row.slots[k] != EMPTY for k in uncounted)
    count = row.count - n_uncounted
    if n_uncounted and count <= 4:
        return False
    return count >= spec.min_keypoints and row.score / count >= spec.min_score


def _pose(row: Row, candidates: np.ndarray, maps: Maps, skeleton: Skeleton, spec: DecodeSpec) -> Pose:
    score = {
        "sum": row.score,
        "sum_times_count": row.score * row.count,
        "share": row.score / (skeleton.n_keypoints + len(skeleton.limbs)),
        "one": 1.0,
    }[spec.score]
    slots = np.array(row.slots)
    has = slots != EMPTY
    keypoints = np.zeros((skeleton.n_keypoints, 3), np.float32)
    keypoints[has] = _exported(candidates[slots[has]], maps, spec.offset)
    return Pose(keypoints, float(score))


def single(maps: Maps, skeleton: Skeleton, offset: float = 0.0) -> Pose:
    """One person: the maximum of each heatmap, and `offset` px of the image added."""
    flat = maps.heat[..., : skeleton.n_keypoints].reshape(-1, skeleton.n_keypoints)
    best = flat.argmax(axis=0)
    rows, columns = np.unravel_index(best, maps.heat.shape[:2])
    centre = (maps.cell - 1) / 2
    scores = flat[best, np.arange(skeleton.n_keypoints)]
    points = np.column_stack([maps.cell * columns + centre, maps.cell * rows + centre, scores])
    return Pose(_exported(points, maps, offset).astype(np.float32), float(scores.mean()))


def _exported(points: np.ndarray, maps: Maps, offset: float) -> np.ndarray:
    """Points (n, 3) of the decoder's map as the profile publishes them: image pixels and its offset."""
    places = points[:, :2] * maps.to_image + np.array(maps.shift) + offset
    return np.column_stack([places, points[:, 2]])
