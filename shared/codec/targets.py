"""What the published implementations draw for the network to learn, as named values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared.codec import gaussian, paf
from shared.skeleton import Skeleton


@dataclass(frozen=True)
class TargetSpec:
    """How people become maps.  Lengths are image pixels.

    `cutoff`: a Gaussian is drawn where its exponent is at most this (ln 100 in the Caffe code), None everywhere.
    `overlap`: where two people's Gaussians meet, "max" (the paper) or "sum_clipped" (the released Caffe code).
    `paf_overlap`: where two limbs of one kind meet, "last" (a counter that is never raised, in the Caffe code)
    or "average" (the paper).
    `limb_width`: distance from the limb's axis that still belongs to it; `strict` leaves out its border.
    `rounding` of the limb's box: "c" (half away from zero), "python" (half to even) or "truncate".
    `paf_offset`: a map cell g stands for the pixel `stride * g + paf_offset`.  The originals use 0 here although
    their heatmaps use (stride - 1) / 2; the paper's geometry is the latter.
    `head`: what a shoulder's limb leads to, "ear" or, in tensorboy's targets, "eye".
    """

    stride: int = 8
    sigma: float = 7.0
    cutoff: float | None = None
    overlap: str = "max"
    paf_overlap: str = "average"
    limb_width: float = 8.0
    strict: bool = False
    rounding: str = "python"
    paf_offset: float = 3.5
    head: str = "ear"


PAPER = TargetSpec()
CAFFE = TargetSpec(
    cutoff=4.6052, overlap="sum_clipped", paf_overlap="last", rounding="c", paf_offset=0.0
)  # caffe_rtpose, data_transformer.cpp
KERAS = TargetSpec(paf_overlap="last", paf_offset=0.0)  # kevinlin, anatolix
HL = KERAS  # H-Liu's HDF5 loader draws the same; what differs is that its loss counts the mask twice
TENSORBOY = replace(CAFFE, paf_overlap="average", rounding="python", strict=True, head="eye")
LIGHTWEIGHT = replace(CAFFE, rounding="truncate")

TARGETS = {
    "paper": PAPER, "caffe": CAFFE, "keras": KERAS, "hl": HL, "tensorboy": TENSORBOY, "lightweight": LIGHTWEIGHT,
}  # fmt: skip


def encode(
    points: np.ndarray, skeleton: Skeleton, size: tuple[int, int], spec: TargetSpec = PAPER
) -> tuple[np.ndarray, np.ndarray]:
    """Draw people: heat (h, w, K + 1) with the background last, and paf (h, w, 2L), float32.

    `points` is (P, K, 3) in image pixels; a keypoint counts where its third column is above 0.  `size` is that
    of the maps, (h, w) cells.
    """
    heat, field = encode_batch([points], skeleton, size, spec)
    return heat[0], field[0]


def encode_batch(
    people: Sequence[np.ndarray], skeleton: Skeleton, size: tuple[int, int], spec: TargetSpec = PAPER
) -> tuple[np.ndarray, np.ndarray]:
    """`encode` for N images at once: heat (N, h, w, K + 1) and paf (N, h, w, 2L); `people` has (P, K, 3) for each."""
    heat = np.zeros((len(people), *size, skeleton.n_heat), np.float32)
    field = np.zeros((len(people), *size, skeleton.n_paf), np.float32)
    points = np.concatenate(people)
    sample = np.repeat(np.arange(len(people)), [len(each) for each in people])
    known = points[..., 2] > 0
    if skeleton.background:
        heat[..., -1] = 1
    person, keypoint = np.nonzero(known)
    places = np.stack([sample[person], keypoint], axis=1)
    gaussian.draw(points[person, keypoint, :2], places, heat, spec, skeleton.background)
    a, b = np.array(limbs(skeleton, spec), np.int64).reshape(-1, 2).T
    person, limb = np.nonzero(known[:, a] & known[:, b])
    places = np.stack([sample[person], limb], axis=1)
    paf.draw(points[person, a[limb], :2], points[person, b[limb], :2], places, field, spec)
    return heat, field


def limbs(skeleton: Skeleton, spec: TargetSpec) -> list[tuple[int, int]]:
    """The limbs that are drawn: the skeleton's, with the eye in place of a shoulder's ear where `spec.head` says so."""
    if spec.head == "ear":
        return list(skeleton.limbs)
    drawn = []
    for a, b in skeleton.limbs:
        side, _, part = skeleton.keypoints[b].partition("_")
        to_eye = part == "ear" and skeleton.keypoints[a] == f"{side}_shoulder"
        drawn.append((a, skeleton.index(f"{side}_eye") if to_eye else b))
    return drawn
