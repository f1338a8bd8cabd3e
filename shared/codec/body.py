"""Where the parts of a body are to each other: what joins pieces of a person that a hidden joint separates."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from shared.skeleton import Skeleton

# A body as a tree: from one part to the next its mean step (x, y) and the standard deviation of that, where 1 is about
# the length from neck to ankle and x is to the right in the image.  Left parts mirror the right ones.  Measured on
# every second image of the project's sample of val2017's annotations (356 people, ids in rising order, from the
# first), rounded to 0.01.  Each step is taken as independent of the others.
_STEPS = {
    ("neck", "nose"): (0.00, -0.13, 0.10, 0.06),
    ("nose", "right_eye"): (-0.03, -0.03, 0.01, 0.01),
    ("right_eye", "right_ear"): (-0.06, 0.01, 0.03, 0.03),
    ("neck", "right_shoulder"): (-0.06, 0.00, 0.10, 0.03),
    ("right_shoulder", "right_elbow"): (-0.03, 0.20, 0.09, 0.08),
    ("right_elbow", "right_wrist"): (0.04, 0.07, 0.12, 0.13),
    ("neck", "mid_hip"): (0.00, 0.40, 0.09, 0.07),
    ("mid_hip", "right_hip"): (-0.04, 0.00, 0.07, 0.02),
    ("right_hip", "right_knee"): (0.00, 0.26, 0.14, 0.14),
    ("right_knee", "right_ankle"): (0.01, 0.30, 0.13, 0.09),
}
_LOCATED = 0.055  # how well two parts are located, in the same unit; added to every spread
_UNKNOWN = 1e6


@dataclass(frozen=True, eq=False)
class Body:
    """Two-dimensional normal distributions of the step from keypoint a to keypoint b, in body lengths.

    `mean` (K, K, 2), `variance` (K, K, 2); `square` (K, K) is the mean squared distance, by which a body's size is
    told; `spread` (K, K) the logarithm of the two standard deviations' product, huge for keypoints of which nothing
    is known (feet, MPI's head top and chest).
    """

    mean: np.ndarray
    variance: np.ndarray
    square: np.ndarray
    spread: np.ndarray


@cache
def body(skeleton: Skeleton) -> Body:
    """The distributions for a skeleton's keypoints, by name: steps along the tree from one to the other add up."""
    paths = [_path(name) for name in skeleton.keypoints]
    k = skeleton.n_keypoints
    mean, variance, known = np.zeros((k, k, 2)), np.zeros((k, k, 2)), np.zeros((k, k), bool)
    for a, start in enumerate(paths):
        for b, end in enumerate(paths):
            known[a, b] = a != b and start is not None and end is not None
            if known[a, b]:
                for x, y, spread_x, spread_y, sign in _between(start or {}, end or {}):
                    mean[a, b] += sign * np.array((x, y))
                    variance[a, b] += np.array((spread_x, spread_y)) ** 2
    square = np.where(known, (mean**2 + variance).sum(axis=-1), np.inf)
    variance += _LOCATED**2
    return Body(mean, variance, square, np.where(known, 0.5 * np.log(variance.prod(axis=-1)), _UNKNOWN))


Step = tuple[float, float, float, float]


def _path(name: str) -> dict[str, Step] | None:
    """The steps that lead from the neck to a part, by the part that each ends at; None for a part of no known place."""
    if name == "neck":
        return {}
    for (parent, child), (x, y, spread_x, spread_y) in _STEPS.items():
        for side, sign in (("right_", 1), ("left_", -1)):
            if child.replace("right_", side) == name:
                before = _path(parent.replace("right_", side))
                return None if before is None else {**before, name: (sign * x, y, spread_x, spread_y)}
    return None


def _between(start: dict[str, Step], end: dict[str, Step]) -> list[tuple[float, float, float, float, int]]:
    """Steps of the way from one part back to where the paths part (sign -1), and on to the other (sign 1)."""
    back = [(*step, -1) for name, step in start.items() if name not in end]
    return back + [(*step, 1) for name, step in end.items() if name not in start]
