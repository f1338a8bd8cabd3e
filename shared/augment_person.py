"""How the crop of one person is varied in training, as HRNet's and LPN's code does."""

from dataclasses import dataclass

import numpy as np

from shared.skeleton import Skeleton


@dataclass(frozen=True)
class PersonAugment:
    """Draws in the originals' order: half of the body, scale, rotation, mirror.

    `half_body`: probability that the crop follows the upper or the lower half of somebody of whom more than
    `half_body_keypoints` are known.  `scale`: the box grows by a normal factor about 1 of that deviation, which is also
    its limit to either side.  `rotation`: the deviation in degrees, with twice as much as the limit, of the crops that
    are turned, `rotated` of all.  `flip`: probability of the mirror image.

    Source: humanpose.pytorch, JointsDataset; its coin for the halves is a normal number below 0.5, so that the upper
    one comes up in 69 % of all cases.
    """

    half_body: float = 0.3
    half_body_keypoints: int = 8
    scale: float = 0.35
    rotation: float = 45.0
    rotated: float = 0.6
    flip: float = 0.5


COCO = PersonAugment()  # HRNet, LPN 18 to 100
SIMPLE = PersonAugment(half_body=0.0, scale=0.3, rotation=40.0)  # PoseResNet on COCO, LPN 101 and 152
MPII = PersonAugment(half_body=0.0, scale=0.25, rotation=30.0)
NONE = PersonAugment(half_body=0.0, scale=0.0, rotation=0.0, rotated=0.0, flip=0.0)

PERSON_AUGMENTS = {"coco": COCO, "simple": SIMPLE, "mpii": MPII, "none": NONE}

_LOWER = ("hip", "knee", "ankle", "pelvis")  # the ends of the names of the lower half


@dataclass(frozen=True)
class Draw:
    """`half` are the keypoints that the crop follows, None for the person's box; `factor` multiplies the box's size,
    `degrees` turn it, `mirrored` says whether left becomes right.
    """

    half: np.ndarray | None = None
    factor: float = 1.0
    degrees: float = 0.0
    mirrored: bool = False


PLAIN = Draw()


def draw(rng: np.random.Generator, known: np.ndarray, skeleton: Skeleton, spec: PersonAugment) -> Draw:
    """What happens to somebody of whom the keypoints `known` (K,) bool were annotated."""
    half = None
    if known.sum() > spec.half_body_keypoints and rng.random() < spec.half_body:
        half = _half(rng, known, skeleton)
    factor = 1 + spec.scale * float(np.clip(rng.standard_normal(), -1, 1))
    degrees = spec.rotation * float(np.clip(rng.standard_normal(), -2, 2))
    turned, mirrored = rng.random(2) < (spec.rotated, spec.flip)
    return Draw(half, factor, degrees if turned else 0.0, bool(mirrored))


def _half(rng: np.random.Generator, known: np.ndarray, skeleton: Skeleton) -> np.ndarray | None:
    """(K,) bool: the known keypoints of the upper or the lower half; None if that leaves fewer than two."""
    below = np.array([name.endswith(_LOWER) for name in skeleton.keypoints])
    upper, lower = known & ~below, known & below
    prefers_upper = rng.standard_normal() < 0.5
    chosen = upper if (prefers_upper and upper.sum() > 2) or lower.sum() <= 2 else lower
    return chosen if chosen.sum() >= 2 else None


def half_box(points: np.ndarray) -> tuple[float, float, float, float]:
    """The box (x, y, width, height) about the mean of points (n, 2) that is as wide and as high as they are apart."""
    low, high, middle = points.min(axis=0), points.max(axis=0), points.mean(axis=0)
    width, height = (float(value) for value in high - low)
    return float(middle[0]) - width / 2, float(middle[1]) - height / 2, width, height
