"""Loss masks: where an image was not annotated, by the rules of the originals and the right one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
from pycocotools import mask as rle

from shared.data.coco_json import run_lengths
from shared.data.index import Segment
from shared.errors import UserError


@dataclass(frozen=True)
class MaskRule:
    """What of an image does not count: people without a keypoint, and crowds less the people that a crowd spares.

    With `crowds` "one", several crowd regions in an image are all ignored; with "error" they are refused; with "none"
    there is no crowd that matters.
    """

    unlabelled: bool = True
    crowds: Literal["all", "one", "error", "none"] = "all"
    spared: Literal["labelled", "earlier", "nobody"] = "labelled"  # earlier: people listed before the crowd
    first_polygon: bool = False  # the other polygons of a person are not drawn
    shift: float = 0.0  # px, added to polygons


MASK = {
    "paper": MaskRule(),
    # ZC's genCOCOMask; Matlab counts pixels from 1 and asks at their centres, half a pixel from pycocotools
    "caffe": MaskRule(crowds="one", spared="earlier", first_polygon=True, shift=-0.5),
    "keras": MaskRule(crowds="error", spared="earlier"),  # KL and AX
    "lightweight": MaskRule(unlabelled=False, spared="nobody"),
    "none": MaskRule(unlabelled=False, crowds="none"),  # tensorboy
}


def masks(
    height: int,
    width: int,
    segments: Sequence[Segment],
    n_keypoints: np.ndarray,
    crowd: np.ndarray,
    rule: MaskRule = MASK["paper"],
) -> tuple[np.ndarray | None, np.ndarray]:
    """`mask_miss` and `mask_all` of one image from its P annotations in the file's order, (height, width) uint8 each.

    `mask_miss` is 255 where the loss counts and 0 where it does not, None where it counts everywhere; `mask_all` is
    255 on people and on the crowds that the rule uses.  `n_keypoints` and `crowd` are (P,).  The polygons of Matlab's
    rule agree to the rounding of pixels on an outline.  Raises `UserError` for several crowds where the rule refuses.
    """
    missed, crowds = _missed(height, width, segments, n_keypoints, crowd, rule)
    people = _drawn(list(compress(segments, ~np.asarray(crowd, bool))), height, width, rule) | crowds
    return _mask_miss(missed), np.ascontiguousarray(people.astype(np.uint8)) * np.uint8(255)


def loss_mask(
    height: int,
    width: int,
    segments: Sequence[Segment],
    n_keypoints: np.ndarray,
    crowd: np.ndarray,
    rule: MaskRule = MASK["paper"],
) -> np.ndarray | None:
    """`mask_miss` alone, the same as of `masks`: what cannot change it is not drawn."""
    return _mask_miss(_missed(height, width, segments, n_keypoints, crowd, rule)[0])


def _missed(
    height: int, width: int, segments: Sequence[Segment], n_keypoints: np.ndarray, crowd: np.ndarray, rule: MaskRule
) -> tuple[np.ndarray, np.ndarray]:
    """(height, width) bool, twice: where the loss does not count, and the crowds that the rule uses."""
    crowd, labelled = np.asarray(crowd, bool), np.asarray(n_keypoints) > 0
    places = np.arange(len(crowd))

    def drawn(wanted: np.ndarray) -> np.ndarray:
        return _drawn(list(compress(segments, wanted)), height, width, rule)

    if crowd.sum() > 1 and rule.crowds == "error":
        raise UserError(f"{crowd.sum()} crowd regions in one image, the keras mask rule knows one; choose another rule")
    missed, crowds = drawn(~crowd & ~labelled & rule.unlabelled), drawn(places < 0)
    used = rule.crowds == "all" or (rule.crowds != "none" and crowd.sum() == 1)
    for place in places[crowd] if used else ():
        region = drawn(places == place)
        if rule.spared == "earlier":
            region &= ~drawn(~crowd & (places < place))
        missed |= region & ~drawn(~crowd & labelled) if rule.spared == "labelled" else region
        crowds |= region
    return missed, crowds


def _mask_miss(missed: np.ndarray) -> np.ndarray | None:
    return np.ascontiguousarray(np.where(missed, np.uint8(0), np.uint8(255))) if missed.any() else None


def mask_of(annotations: Sequence[Mapping], size: tuple[int, int], rule: MaskRule) -> np.ndarray | None:
    """`loss_mask` of an image of `size` (height, width) from its annotations as COCO has them, in the file's order."""
    segments = [segment(entry.get("segmentation")) for entry in annotations]
    n_keypoints = np.array([entry["num_keypoints"] for entry in annotations], np.int32)
    crowd = np.array([bool(entry["iscrowd"]) for entry in annotations], bool)
    return loss_mask(*size, segments, n_keypoints, crowd, rule)


def segment(coco: object) -> Segment:
    """A segment as COCO has it: polygons, run lengths in a list or a string, or None.

    Raises ValueError, TypeError or LookupError where it is nothing of these.
    """
    if isinstance(coco, Mapping):
        return run_lengths(coco)[1]
    return [np.array(polygon, np.float64).reshape(-1, 2) for polygon in coco or ()]  # type: ignore[attr-defined]


def _drawn(segments: Sequence[Segment], height: int, width: int, rule: MaskRule) -> np.ndarray:
    """(height, width) bool: the pixels of the segments together; a polygon of fewer than three points has none."""
    found = np.zeros((width, height), bool).T  # by columns, as run lengths are
    polygons: list[np.ndarray] = []
    for segment in segments:
        if isinstance(segment, np.ndarray):
            found |= np.repeat(np.arange(len(segment)) % 2 == 1, segment).reshape(width, height).T
        else:
            polygons += segment[:1] if rule.first_polygon else segment
    values = [(polygon + rule.shift).ravel().tolist() for polygon in polygons if len(polygon) >= 3]
    if values:
        found |= rle.decode(rle.merge(rle.frPyObjects(values, height, width))).view(bool)
    return found
