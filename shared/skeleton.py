"""Skeletons: named keypoints and directed limbs; flips and conversions follow from the names."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from shared.errors import unknown

# A keypoint that a skeleton lacks is the mean of these, where it has them (OpenPose's neck, MPI's chest).
MEANS = {
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
    "chest": ("thorax", "pelvis"),
}


@cache
def _sources(skeleton: "Skeleton", other: "Skeleton") -> tuple[tuple[int, ...], ...]:
    return skeleton.sources(other)


def _mirror_name(name: str) -> str:
    for side, other in (("left", "right"), ("right", "left")):
        if name.startswith(side + "_"):
            return other + name[len(side) :]
    return name


@dataclass(frozen=True)
class Skeleton:
    """K named keypoints and L directed limbs in PAF channel order: limb i owns PAF channels 2i (x), 2i+1 (y).

    `decode_order` lists limb indices in the order in which a decoder assembles people.  `fill_limbs` are the
    limbs that never start a person (OpenPose's ear-shoulder pairs).  `mirror` gives the flip of names that do
    not begin with left_ or right_ (the face).  Raises ValueError if a mirrored limb is missing: a skeleton
    whose limbs do not mirror cannot average a flipped image.
    """

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...] = ()
    decode_order: tuple[int, ...] = ()
    fill_limbs: tuple[int, ...] = ()
    background: bool = True
    mirror: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.keypoints)) != self.n_keypoints:
            raise ValueError(f"skeleton {self.name}: a keypoint name occurs twice")
        mirrored = {(self.flip[a], self.flip[b]) for a, b in self.limbs}
        if mirrored != set(self.limbs):
            raise ValueError(f"skeleton {self.name}: limbs without a mirror image {mirrored - set(self.limbs)}")

    @property
    def n_keypoints(self) -> int:
        return len(self.keypoints)

    @property
    def n_heat(self) -> int:
        """Channels of the heatmaps: the keypoints, then the background."""
        return self.n_keypoints + self.background

    @property
    def n_paf(self) -> int:
        return 2 * len(self.limbs)

    def index(self, keypoint: str) -> int:
        return self.keypoints.index(keypoint)

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """For each keypoint, the keypoint that takes its place in a mirrored image."""
        return self.mirror or tuple(self.index(_mirror_name(name)) for name in self.keypoints)

    @cached_property
    def heat_flip(self) -> tuple[int, ...]:
        """The permutation of the heat channels in a mirrored image; the background stays."""
        return self.flip + ((self.n_keypoints,) if self.background else ())

    @cached_property
    def limb_flip(self) -> tuple[int, ...]:
        """For each limb, the limb that takes its place in a mirrored image."""
        return tuple(self.limbs.index((self.flip[a], self.flip[b])) for a, b in self.limbs)

    @cached_property
    def paf_flip(self) -> tuple[int, ...]:
        """The permutation of the PAF channels in a mirrored image.  The x (even) channels also change sign."""
        return tuple(2 * limb + axis for limb in self.limb_flip for axis in (0, 1))

    @cached_property
    def paf_sign(self) -> np.ndarray:
        """(2L,) -1 for x channels, +1 for y channels: what a mirrored PAF is multiplied by."""
        return np.tile(np.array([-1, 1], np.float32), len(self.limbs))

    def sources(self, other: "Skeleton") -> tuple[tuple[int, ...], ...]:
        """For each keypoint here, the keypoints of `other` whose mean it is: one, several, or none."""
        found = []
        for name in self.keypoints:
            names = (name,) if name in other.keypoints else MEANS.get(name, ())
            known = all(n in other.keypoints for n in names)
            found.append(tuple(other.index(n) for n in names) if known else ())
        return tuple(found)

    def convert_from(self, other: "Skeleton", points: np.ndarray) -> np.ndarray:
        """Points (..., K_other, 3) of `other` as points (..., K, 3) of this skeleton, by name.

        The third column (visibility or score) of a mean is the lowest of its sources, and a mean is known only
        where all of its sources are (third column > 0); everything unknown is (0, 0, 0).
        """
        out = np.zeros((*points.shape[:-2], self.n_keypoints, 3), np.float32)
        sources = _sources(self, other)
        same = [k for k, source in enumerate(sources) if len(source) == 1]
        parts = points[..., [sources[k][0] for k in same], :]
        out[..., same, :] = np.where(parts[..., 2:] > 0, parts, 0)
        for k, source in enumerate(sources):
            if len(source) > 1:
                parts = points[..., list(source), :]
                known = np.asarray((parts[..., 2] > 0).all(axis=-1))
                out[..., k, :2] = np.where(known[..., None], parts[..., :2].mean(axis=-2), 0)
                out[..., k, 2] = np.where(known, parts[..., 2].min(axis=-1), 0)
        return out


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _limbs(keypoints: tuple[str, ...], pairs: str) -> tuple[tuple[int, int], ...]:
    index = {name: k for k, name in enumerate(keypoints)}
    return tuple((index[a], index[b]) for a, b in (pair.split(">") for pair in pairs.split()))


def _order(limbs: tuple[tuple[int, int], ...], keypoints: tuple[str, ...], pairs: str) -> tuple[int, ...]:
    return tuple(limbs.index(pair) for pair in _limbs(keypoints, pairs))


_COCO17 = _names(
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
COCO17 = Skeleton("coco17", _COCO17, background=False)  # the order of COCO's annotations and results

_COCO18 = _names(
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
)
_COCO18_LIMBS = _limbs(
    _COCO18,
    "neck>right_hip right_hip>right_knee right_knee>right_ankle neck>left_hip left_hip>left_knee "
    "left_knee>left_ankle neck>right_shoulder right_shoulder>right_elbow right_elbow>right_wrist "
    "right_shoulder>right_ear neck>left_shoulder left_shoulder>left_elbow left_elbow>left_wrist "
    "left_shoulder>left_ear neck>nose nose>right_eye nose>left_eye right_eye>right_ear left_eye>left_ear",
)
COCO18 = Skeleton(
    "coco18",
    _COCO18,
    _COCO18_LIMBS,
    decode_order=_order(
        _COCO18_LIMBS,
        _COCO18,
        "neck>right_shoulder neck>left_shoulder right_shoulder>right_elbow right_elbow>right_wrist "
        "left_shoulder>left_elbow left_elbow>left_wrist neck>right_hip right_hip>right_knee "
        "right_knee>right_ankle neck>left_hip left_hip>left_knee left_knee>left_ankle neck>nose nose>right_eye "
        "right_eye>right_ear nose>left_eye left_eye>left_ear right_shoulder>right_ear left_shoulder>left_ear",
    ),
    fill_limbs=(9, 13),
)

_MPI15 = _names(
    "head_top upper_neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle chest"
)
MPI15 = Skeleton(
    "mpi15",
    _MPI15,
    _limbs(
        _MPI15,
        "head_top>upper_neck upper_neck>right_shoulder right_shoulder>right_elbow right_elbow>right_wrist "
        "upper_neck>left_shoulder left_shoulder>left_elbow left_elbow>left_wrist upper_neck>chest "
        "chest>right_hip right_hip>right_knee right_knee>right_ankle chest>left_hip left_hip>left_knee "
        "left_knee>left_ankle",
    ),
    decode_order=tuple(range(14)),
)
MPI15_MATLAB_ORDER = (0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 8, 9, 10)  # Matlab and caffe_rtpose: left leg first

MPII16 = Skeleton(  # the order of MPII's annotations
    "mpii16",
    _names(
        "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"
    ),
    background=False,
)

_BODY25 = _names(
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe "
    "left_small_toe left_heel right_big_toe right_small_toe right_heel"
)
_BODY25_LIMBS = _limbs(
    _BODY25,
    "neck>mid_hip right_hip>right_knee right_knee>right_ankle mid_hip>right_hip mid_hip>left_hip "
    "left_hip>left_knee left_knee>left_ankle neck>right_shoulder right_shoulder>right_elbow "
    "right_elbow>right_wrist right_shoulder>right_ear neck>left_shoulder left_shoulder>left_elbow "
    "left_elbow>left_wrist left_shoulder>left_ear neck>nose nose>right_eye nose>left_eye right_eye>right_ear "
    "left_eye>left_ear left_ankle>left_big_toe left_big_toe>left_small_toe left_ankle>left_heel "
    "right_ankle>right_big_toe right_big_toe>right_small_toe right_ankle>right_heel",
)
BODY25 = Skeleton(
    "body25",
    _BODY25,
    _BODY25_LIMBS,
    decode_order=_order(
        _BODY25_LIMBS,
        _BODY25,
        "neck>mid_hip neck>right_shoulder neck>left_shoulder right_shoulder>right_elbow right_elbow>right_wrist "
        "left_shoulder>left_elbow left_elbow>left_wrist mid_hip>right_hip right_hip>right_knee "
        "right_knee>right_ankle mid_hip>left_hip left_hip>left_knee left_knee>left_ankle neck>nose "
        "nose>right_eye right_eye>right_ear nose>left_eye left_eye>left_ear right_shoulder>right_ear "
        "left_shoulder>left_ear left_ankle>left_big_toe left_big_toe>left_small_toe left_ankle>left_heel "
        "right_ankle>right_big_toe right_big_toe>right_small_toe right_ankle>right_heel",
    ),
    fill_limbs=(10, 14),
)

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_HAND21 = ("wrist", *(f"{finger}_{joint}" for finger in _FINGERS for joint in range(1, 5)))
# Drawn, not predicted: the hand and face networks have no PAFs.  OpenPose mirrors the crop of a right hand.
HAND_LINES = tuple((0 if j == 0 else 4 * f + j, 4 * f + j + 1) for f in range(5) for j in range(4))
HAND21 = Skeleton("hand21", _HAND21)

# The 68 iBUG landmarks and two pupils.  In a mirrored face landmark i becomes _FACE_FLIP[i].
_FACE_FLIP = (
    *range(16, -1, -1),  # jaw, from the right ear to the left
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
    *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
    *(69, 68),  # pupils
)


def _chain(first: int, last: int, closed: bool = False) -> tuple[tuple[int, int], ...]:
    return tuple((i, i + 1) for i in range(first, last)) + (((last, first),) if closed else ())


FACE_LINES = (
    *_chain(0, 16), *_chain(17, 21), *_chain(22, 26), *_chain(27, 30), *_chain(31, 35), *_chain(36, 41, True),
    *_chain(42, 47, True), *_chain(48, 59, True), *_chain(60, 67, True),
)  # fmt: skip
FACE70 = Skeleton("face70", tuple(f"face_{i}" for i in range(70)), mirror=_FACE_FLIP)

SKELETONS = {s.name: s for s in (COCO17, COCO18, MPI15, MPII16, BODY25, HAND21, FACE70)}


def skeleton(name: str) -> Skeleton:
    """The skeleton of that name; an unknown name is a `UserError` that lists the known ones."""
    if name not in SKELETONS:
        raise unknown("skeleton", name, SKELETONS)
    return SKELETONS[name]
