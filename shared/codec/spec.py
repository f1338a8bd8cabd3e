"""How the published implementations turn maps into people, as named values."""

import math
from dataclasses import dataclass, replace

import numpy as np

from shared.errors import unknown

STRIDE = 8
_MPI15_CHANGES = {"reference-openpose": {"peak_threshold": 0.6, "paf_threshold": 0.01}}  # OpenPose's own for MPI


@dataclass(frozen=True, eq=False)
class Maps:
    """What a decoder reads: heat (h, w, K + 1), paf (h, w, 2L), and how map coordinates become image pixels.

    A decoder's point (x, y) is the image's `point * to_image + shift`.  One value of the maps is `cell` of a point's
    px a side: 8 for the resolution "stride", where cell g has its centre at 8 g + 3.5, else 1.
    """

    heat: np.ndarray
    paf: np.ndarray
    to_image: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    cell: int = 1


@dataclass(frozen=True)
class DecoderSpec:
    """What every decoder says of itself: the geometry that it brings, and the maps that it reads.

    `core`: what carries its rules out, a name of `shared.codec.decoders.CORES`.
    `resolution`: "image" (maps brought to the original image), "network" (8 times the network's maps) or "stride"
    (the maps as they are).
    """

    name: str
    fit: str
    core: str = "reference"
    resolution: str = "image"


@dataclass(frozen=True)
class FastSpec(DecoderSpec):
    """The rules of our own decoder.  Each can be switched off; docs/benchmarks.md says what each is worth.

    `peak_threshold`: a cell's least value to be a peak.  `noise`: at least so many deviations of the heatmaps' noise,
    which is told by their lowest quarter (`shared.codec.fast_numpy.threshold`).
    `refine`: "gaussian" takes peaks to the vertex of the parabola through the logarithms around them, which inverts a
    Gaussian; None leaves them at their cells.  `sigma`: of the drawn Gaussian, px of the network's input.
    `samples` points of a limb are read between cells; more than `limb_fraction` of them must exceed `paf_threshold`.
    `strength`: a limb's score is its field's mean times both peaks' heights to this power, so that noise loses.
    `join`: pieces of a person that no limb connects are united where their places make one body likely; the logarithm
    of the odds to exceed (see `shared.codec.fast_people.join`), None for never.  `join_height`: a single peak needs
    this height to be united; two single peaks need `keep`.
    `min_keypoints` of a person, and `keep`: the sum of its n peaks must reach `keep` times the square root of n: one
    peak must be high, many may be low.
    `score`: people are ranked by the "sum" of their peaks and limbs, or by its "mean" over the peaks.
    """

    core: str = "fast"
    resolution: str = "stride"
    peak_threshold: float = 0.05
    noise: float = 3.0
    refine: str | None = "gaussian"
    sigma: float = 7.0
    samples: int = 10
    limb_fraction: float = 0.7
    paf_threshold: float = 0.03
    strength: float = 0.5
    join: float | None = 0.0
    join_height: float = 0.3
    min_keypoints: int = 1
    keep: float = 0.7
    score: str = "sum"

    @property
    def curvature(self) -> float:
        """Of the logarithm of a drawn peak, per cell^2."""
        return (STRIDE / self.sigma) ** 2

    @property
    def misses(self) -> int:
        """How many of a limb's samples may fail."""
        return math.ceil((1 - self.limb_fraction) * self.samples - 1e-9) - 1


@dataclass(frozen=True)
class DecodeSpec(DecoderSpec):
    """The rules of the published decoders.  Lengths are px of the map that `resolution` asks for.

    Peaks.  `smooth`: sigma of a Gaussian over the heatmap before peaks are sought; scores are read from the map
    itself.
    `peaks`: "cross" (at least as large as the 4 neighbours, 0 outside), "cross_edge" (the same, the edge repeated
    outside), "openpose" (larger than all 8 neighbours; a ring one pixel from the border has its own rule).
    `refine`: None; "patch" (moves to the largest value of the 5x5 patch: H-Liu, not the no-op it looks like);
    "patch8" (the same on the patch enlarged 8 times: tensorboy); "centroid" (weighted mean of 7x7: OpenPose).
    `max_peaks`: of one keypoint, the first in raster order.

    Limbs.  `samples`: points along a limb, 0 for OpenPose's rule sqrt(5 * longest side) within 5..25; `far_end`
    includes the limb's end; `rounding` of the points to pixels is "even" (Python, NumPy) or "half_up" (C).
    `mean`: a limb's score is the mean over "all" samples or over the "passing" ones.
    `prior`: adds min(height / 2 / length - 1, 0), which punishes limbs longer than half the image.
    `limb_fraction`: more than this share of samples must pass `paf_threshold`; `min_limb_score` must be exceeded.
    `close_pairs`: a pair that fails but is nearer than this share of sqrt(h * w) passes all the same, with the
    score `peak_threshold` + 1e-6 (OpenPose: between very near keypoints there is hardly a field).

    People.  `extend`: a row takes a limb that it shares "either" end with, and two rows may merge (the Python
    decoders), or only one whose "start" it holds, and the skeleton's `fill_limbs` only fill empty slots (OpenPose).
    `create`: which limbs start a person: "body" (all but `fill_limbs`), "all" or "not_last".
    `overwrite`: as published, a limb may end in a slot that is taken: the new peak replaces the old one, while
    count and score grow as if a keypoint were added.  False ignores such a limb.
    `three_rows`: a limb that touches three rows deals with the "first_two" (Python; the originals stop there with an
    IndexError, which is not reproduced) or is left out ("skip": tensorboy's C++).
    `zero_is_empty`: tensorboy's C++ takes the first peak of all (number 0) for an empty slot when rows merge, which
    also makes another peak of it.
    `singletons`: a peak whose partner kind has no peaks starts a row of one.
    `foot_rule`: feet do not count towards `min_keypoints`, and need more than 4 other keypoints (OpenPose, BODY_25).
    `min_keypoints`, `min_score` (score / count): what a person needs to be kept.

    Export.  `score`: "sum" (of keypoints and limbs), "sum_times_count", "one", or "share" (the sum over the number
    of keypoints and limbs of the skeleton: OpenPose).
    `offset`: added to exported coordinates, px of the image.
    """

    smooth: float = 0.0
    peaks: str = "cross"
    peak_threshold: float = 0.1
    refine: str | None = None
    max_peaks: int | None = None
    samples: int = 10
    far_end: bool = True
    rounding: str = "even"
    mean: str = "all"
    prior: bool = True
    paf_threshold: float = 0.05
    limb_fraction: float = 0.8
    min_limb_score: float = 0.0
    close_pairs: float = 0.0
    extend: str = "either"
    create: str = "body"
    overwrite: bool = True
    three_rows: str = "first_two"
    zero_is_empty: bool = False
    singletons: bool = False
    foot_rule: bool = False
    min_keypoints: int = 4
    min_score: float = 0.4
    score: str = "sum"
    offset: float = 0.0


# Zhe Cao's Python demo, kevinlin and anatolix.
REFERENCE = DecodeSpec("reference", fit="kl", smooth=3.0)
HL = DecodeSpec(
    "reference-hl", fit="hl", peaks="cross_edge", refine="patch", create="all",
    min_keypoints=3, min_score=0.2, score="sum_times_count", offset=0.5,
)  # fmt: skip
TENSORBOY = DecodeSpec(
    "reference-tensorboy", fit="tensorboy", resolution="stride", peaks="cross_edge", refine="patch8",
    far_end=False, rounding="half_up", limb_fraction=0.6, create="not_last", three_rows="skip", zero_is_empty=True,
    min_keypoints=4, min_score=0.3, score="one", offset=0.5,
)  # fmt: skip
# OpenPose on the CPU; its GPU code assembles people in another order.
OPENPOSE = DecodeSpec(
    "reference-openpose", fit="openpose", resolution="network", peaks="openpose", peak_threshold=0.05,
    refine="centroid", max_peaks=127, samples=0, far_end=False, rounding="half_up", mean="passing", prior=False,
    limb_fraction=0.95, min_limb_score=1e-6, close_pairs=1 / 150, extend="start", singletons=True, foot_rule=True,
    min_keypoints=3, min_score=0.4, score="share", offset=0.5,
)  # fmt: skip

FAST = FastSpec("fast", fit="plain")
DEVICE = FastSpec("device", fit="plain", core="device")  # the same, its maps' part done where the network runs

DECODERS: dict[str, DecoderSpec] = {spec.name: spec for spec in (FAST, DEVICE, REFERENCE, HL, TENSORBOY, OPENPOSE)}


def decoder(name: str, skeleton: str = "coco18") -> DecoderSpec:
    """The decoder of that name, with its thresholds for that skeleton."""
    if name not in DECODERS:
        raise unknown("--decoder", name, DECODERS)
    changes = _MPI15_CHANGES.get(name, {}) if skeleton == "mpi15" else {}
    return replace(DECODERS[name], **changes)  # type: ignore[arg-type]
