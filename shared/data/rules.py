"""The originals' rules as named values: who a sample is about, where the neck is, which images validate."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shared.errors import UserError
from shared.skeleton import COCO17

_CODES = np.array([2, 0, 1])  # by COCO's v
_VS = np.array([1, 2, 0, 0])  # by code


def code_of(v: np.ndarray) -> np.ndarray:
    """The originals' stored visibility codes of COCO's v: visible 2 -> 1, hidden 1 -> 0, not labelled 0 -> 2.

    The same three digits with another meaning: everything here keeps COCO's v, and only files of the originals
    (COCO.json, LMDB, HDF5) have codes.  Raises `UserError` for a value that is no v.
    """
    return _looked_up(_CODES, v, "visibility")


def v_of(code: np.ndarray) -> np.ndarray:
    """COCO's v of the originals' codes: visible 1 -> 2, hidden 0 -> 1, absent 2 and never annotated 3 -> 0.

    Raises `UserError` for a value that is no code.
    """
    return _looked_up(_VS, code, "visibility code")


def _looked_up(table: np.ndarray, values: np.ndarray, what: str) -> np.ndarray:
    values = np.asarray(values)
    strange = values[~np.isin(values, np.arange(len(table)))]
    if strange.size:
        raise UserError(f"{what} {strange.flat[0]:g}: expected a whole number from 0 to {len(table) - 1}")
    return table[values.astype(np.intp)]


@dataclass(frozen=True)
class MainRule:
    """Who may be the main person of a sample: enough keypoints, a large enough segment, and not close to an earlier
    main person of the image, whose distance is compared with that person's size.
    """

    keypoints: int = 5
    area: float = 32 * 32  # px^2
    distance: float = 0.3  # of the size
    size: Literal["box", "width", "last"] = "box"  # longer side of the box; its width; longer side of the last box


MAIN_PERSON = {
    "caffe": MainRule(),  # ZC's genJSON: as it was meant
    "keras": MainRule(size="last"),  # KL and AX: a stale variable holds the box of the image's last annotation
    "lightweight": MainRule(size="width"),
    "everyone": MainRule(keypoints=1, area=1e-6, distance=0.0),  # HRNet: whoever has a keypoint and a segment
}


def main_people(
    boxes: np.ndarray, n_keypoints: np.ndarray, areas: np.ndarray, crowd: np.ndarray, rule: MainRule
) -> list[int]:
    """Which of the P annotations of one image are main people, in their order.

    `boxes` is (P, 4) x, y, width, height; `n_keypoints`, `areas` (of the segments, px^2) and `crowd` are (P,).
    A crowd and a box without height, which has no scale, are never one.
    """
    return np.flatnonzero(main_mask(boxes, n_keypoints, areas, crowd, np.array([0, len(boxes)]), rule)).tolist()


def main_mask(
    boxes: np.ndarray,
    n_keypoints: np.ndarray,
    areas: np.ndarray,
    crowd: np.ndarray,
    starts: np.ndarray,
    rule: MainRule,
) -> np.ndarray:
    """`main_people` of many images at once, as (A,) bool: image i has the annotations starts[i] to starts[i + 1]."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    sizes = boxes[:, 2] if rule.size == "width" else boxes[:, 2:].max(axis=1)
    image = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    if rule.size == "last":
        sizes = sizes[np.asarray(starts)[1:] - 1][image] if len(boxes) else sizes
    able = (np.asarray(n_keypoints) >= rule.keypoints) & (np.asarray(areas) >= rule.area) & (boxes[:, 3] > 0)
    candidates = np.flatnonzero(able & ~np.asarray(crowd, bool))
    centres, sizes, image = centres[candidates], sizes[candidates], image[candidates]
    rank = np.arange(len(candidates)) - np.searchsorted(image, image)  # among the candidates of the image
    accepted = np.ones(len(candidates), bool)
    for k in range(1, int(rank.max(initial=0)) + 1):
        here = np.flatnonzero(rank == k)
        earlier = here[:, None] - np.arange(1, k + 1)
        apart = np.linalg.norm(centres[here, None] - centres[earlier], axis=-1)
        accepted[here] = ~(accepted[earlier] & (apart < rule.distance * sizes[earlier])).any(axis=1)
    found = np.zeros(len(boxes), bool)
    found[candidates] = accepted
    return found


@dataclass(frozen=True)
class NeckRule:
    """How the neck follows from the shoulders; it is always between them, and absent if either is."""

    visibility: Literal["least", "product"] = "least"  # of v; "product": of v, at most 2
    rounded: bool = False  # to whole pixels, half to even
    inside: bool = False  # absent if it is not inside the image
    cleared: bool = True  # an absent one is (0, 0), not the mean of whatever is there


NECK = {
    "paper": NeckRule(),  # = Skeleton.convert_from
    "caffe": NeckRule(cleared=False),  # CR: v is the logical AND of the codes, which is the same
    "keras": NeckRule(),  # KL, AX and HL's HDF5: known only where both shoulders are
    "tensorboy": NeckRule("product", rounded=True),  # and HL's loaders: one hidden shoulder leaves the neck visible
    "lightweight": NeckRule(inside=True, cleared=False),
}


def neck(points: np.ndarray, rule: NeckRule, size: tuple[int, int] | None = None) -> np.ndarray:
    """(..., 3) x, y, v of the necks of COCO people (..., 17, 3) with COCO's v.

    `size` is (height, width) of the image, for the rule that looks at it; ValueError if it is missing then.
    """
    shoulders = points[..., [COCO17.index("left_shoulder"), COCO17.index("right_shoulder")], :]
    xy, v = shoulders[..., :2].mean(axis=-2), shoulders[..., 2]
    seen = v.min(axis=-1) if rule.visibility == "least" else v.prod(axis=-1).clip(max=2)
    if rule.rounded:
        xy = np.round(xy)
    if rule.inside:
        if size is None:
            raise ValueError("this rule needs the size of the image")
        seen = np.where(((xy >= 0) & (xy < size[::-1])).all(axis=-1), seen, 0)
    if rule.cleared:
        xy = np.where(seen[..., None] > 0, xy, 0)
    return np.concatenate([xy, seen[..., None]], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Split:
    """Which images validate: all of the validation file, or its first ones, whose rest is then training data.

    Training data is the training file, and that rest.  `annotated`: the first ones are counted among the images
    with an annotation, in the order of their ids; otherwise among all, in the order of the file.
    """

    first: int | None = None
    annotated: bool = False
    year: int | None = None  # of the files that the rule was made for


SPLITS = {
    "official": Split(),
    "zc": Split(2644, annotated=True, year=2014),
    "kl": Split(2645, year=2014),
    "anatolix": Split(2645, year=2017),
}
"""Named splits of COCO, and what each contaminates.

`official`: the train file trains, the val file validates: the right one.  Of 2014 it leaves val2014, val2017 (5,000
images of val2014) and the paper's list of 1,160 clean; of 2017 val2017 alone, as train2017 has the rest of val2014.
`zc` (Zhe Cao, the paper's weights): the first 2,644 annotated images of val2014 by id (Matlab's CocoApi sorts by
image) validate, the others train.  The 1,160 are among the 2,644, so AP on them is clean; on the whole of val2014, and
on val2017, it is mostly of training images.
`kl` (kevinlin, H-Liu, and michalfaber at first): the first 2,645 of val2014's list of images, people or not, validate,
the others train.  The list is taken in the file's order; under Python 2 the authors had the order of a dictionary.
Another set than `zc`'s: val2014, val2017 and the 1,160 are contaminated wherever they are not among these.
`anatolix`: the first 2,645 of val2017's list validate, the other 2,355 train: val2017 and the 1,160 are contaminated.
"""


def validation_images(image_ids: np.ndarray, annotated: np.ndarray, split: Split) -> np.ndarray:
    """(N,) bool: which images of a validation file validate; the others train.

    `image_ids` is (N,) in the file's order, `annotated` (N,) says which have an annotation.
    """
    if split.first is None:
        return np.ones(len(image_ids), bool)
    among = np.arange(len(image_ids))
    if split.annotated:
        among = np.flatnonzero(annotated)
        among = among[np.argsort(image_ids[among], kind="stable")]
    found = np.zeros(len(image_ids), bool)
    found[among[: split.first]] = True
    return found
