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
    people, labelled, missed = np.zeros((3, height, width), bool)
    crowds = []
    for segment, n, is_crowd in zip(segments, n_keypoints, crowd, strict=True):
        drawn = _drawn(segment, height, width, rule)
        if is_crowd:
            crowds.append(drawn & ~people if rule.spared == "earlier" else drawn)
            continue
        people |= drawn
        if n > 0:
            labelled |= drawn
        elif rule.unlabelled:
            missed |= drawn
    if len(crowds) > 1 and rule.crowds == "error":
        raise UserError(f"{len(crowds)} crowd regions in one image, the keras mask rule knows one; choose another rule")
    used = rule.crowds == "all" or (rule.crowds != "none" and len(crowds) == 1)
    for region in crowds if used else []:
        missed |= region & ~labelled if rule.spared == "labelled" else region
        people |= region
    return np.where(missed, 0, 255).astype(np.uint8) if missed.any() else None, people.astype(np.uint8) * 255


def loss_mask(
    height: int,
    width: int,
    segments: Sequence[Segment],
    n_keypoints: np.ndarray,
    crowd: np.ndarray,
    rule: MaskRule = MASK["paper"],
) -> np.ndarray | None:
    """`mask_miss` alone, the same as of `masks`: what cannot change it is not drawn."""
    crowd, n_keypoints = np.asarray(crowd, bool), np.asarray(n_keypoints)
    crowd_counts = crowd & (rule.crowds != "none")
    wanted = crowd_counts | (rule.unlabelled & (n_keypoints <= 0) & ~crowd)
    if crowd_counts.any() and rule.spared != "nobody":
        wanted[:] = True
    if not wanted.any():
        return None
    chosen = list(compress(segments, wanted))
    return masks(height, width, chosen, n_keypoints[wanted], crowd[wanted], rule)[0]


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


def _drawn(segment: Segment, height: int, width: int, rule: MaskRule) -> np.ndarray:
    """(height, width) bool: the pixels of a segment; a polygon of fewer than three points has none."""
    if isinstance(segment, np.ndarray):
        return np.repeat(np.arange(len(segment)) % 2 == 1, segment).reshape(width, height).T
    polygons = segment[:1] if rule.first_polygon else segment
    values = [(polygon + rule.shift).ravel().tolist() for polygon in polygons if len(polygon) >= 3]
    if not values:
        return np.zeros((height, width), bool)
    return rle.decode(rle.merge(rle.frPyObjects(values, height, width))).astype(bool)
