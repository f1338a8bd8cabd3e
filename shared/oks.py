"""Object keypoint similarity between poses: suppression of doubles, and the score of a top-down pose."""

from dataclasses import dataclass, replace

import numpy as np

# Of COCO's annotators, in the order of COCO17, as a share of the square root of a person's area.
COCO17_SIGMAS = np.array(
    [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
) / 10  # fmt: skip
VISIBLE = 0.2  # what the score of a keypoint must exceed to count in that of its pose (IN_VIS_THRE)


@dataclass(frozen=True)
class NmsSpec:
    """How doubles are suppressed: a pose whose OKS with a better one exceeds `threshold`.

    `soft`: none is dropped; the scores of the others decay by exp(-OKS^2 / threshold) with each pose that is taken, and
    this decides who is next.  `most`: so many poses are taken, None for all.
    `write_back`: poses keep their decayed scores; False, as published: decay decides the order only.
    """

    name: str
    threshold: float = 0.9
    soft: bool = False
    most: int | None = None
    write_back: bool = False


HARD = NmsSpec("hard")  # HRNet, OKS_THRE 0.9 in its configurations
SOFT = NmsSpec("soft", soft=True, most=20)  # the same with SOFT_NMS
SOFT_WRITTEN = replace(SOFT, name="soft-written", write_back=True)  # as soft suppression is meant

SUPPRESSIONS = {spec.name: spec for spec in (HARD, SOFT, SOFT_WRITTEN)}


def matrix(poses: np.ndarray, areas: np.ndarray, sigmas: np.ndarray = COCO17_SIGMAS) -> np.ndarray:
    """The OKS (N, N) of poses (N, K, 2 or more) with each other; `areas` (N,) are of the people, px^2.

    All K keypoints count, seen or not, as published; a pair's area is the mean of both.
    Source: HRNet, lib/nms/nms.py.
    """
    xy, areas = poses[..., :2].astype(np.float64), np.asarray(areas, np.float64)
    distances = ((xy[:, None] - xy) ** 2).sum(axis=-1)  # (N, N, K)
    pairs = (areas[:, None] + areas) / 2 + np.spacing(1)
    return np.exp(-distances / ((2 * sigmas) ** 2 * 2 * pairs[..., None])).mean(axis=-1)


def suppress(
    poses: np.ndarray,
    areas: np.ndarray,
    scores: np.ndarray,
    spec: NmsSpec = HARD,
    sigmas: np.ndarray = COCO17_SIGMAS,
) -> tuple[np.ndarray, np.ndarray]:
    """The poses that are kept, the best first: their numbers (M,), and their scores (M,) float64.

    Of equal scores the last pose is the first, as published.
    """
    similar, current = matrix(poses, areas, sigmas), np.array(scores, np.float64)
    left = _best_first(current)
    kept: list[int] = []
    while len(left) and len(kept) != spec.most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        if spec.soft:
            current[left] *= np.exp(-(similar[best, left] ** 2) / spec.threshold)
            left = left[_best_first(current[left])]
        else:
            left = left[similar[best, left] <= spec.threshold]
    return np.array(kept, np.intp), (current if spec.write_back else np.asarray(scores, np.float64))[kept]


def rescore(box_scores: np.ndarray, keypoint_scores: np.ndarray, visible: float = VISIBLE) -> np.ndarray:
    """The scores (N,) of poses: that of the box (N,) times the mean of the keypoints' (N, K) that exceed `visible`.

    Without such a keypoint it is 0.  Source: HRNet, lib/dataset/coco.py.
    """
    counts = keypoint_scores > visible
    sums = np.where(counts, keypoint_scores, 0).sum(axis=-1, dtype=np.float64)
    return np.asarray(box_scores, np.float64) * sums / np.maximum(counts.sum(axis=-1), 1)


def _best_first(scores: np.ndarray) -> np.ndarray:
    return np.argsort(scores, kind="stable")[::-1]
