"""Poses, heatmaps and affinity fields drawn over an image.  Every function returns a new (H, W, 3) uint8 RGB array."""

from collections.abc import Sequence

import cv2
import numpy as np

from shared.codec.spec import Maps
from shared.person import Person, Pose
from shared.skeleton import COCO17, COCO18, FACE70, FACE_LINES, HAND21, HAND_LINES, MPI15, MPII16, Skeleton

KEYPOINT_THRESHOLD = 0.05  # OpenPose draws keypoints above this score
_ALPHA_POSE = 0.75
_ALPHA_MAP = 0.6
# OpenPose's colours, RGB, one for each keypoint of BODY_25; a limb takes that of its second keypoint.
_BODY25 = (
    (255, 0, 85), (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (255, 0, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (255, 0, 170),
    (170, 0, 255), (255, 0, 255), (85, 0, 255), (0, 0, 255), (0, 0, 255), (0, 0, 255), (0, 255, 255), (0, 255, 255),
    (0, 255, 255),
)  # fmt: skip
_COCO18 = (
    (255, 0, 85), (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (255, 0, 170),
    (170, 0, 255), (255, 0, 255), (85, 0, 255),
)  # fmt: skip
_MPI15 = (*_COCO18[:7], (43, 255, 0), *_COCO18[7:14])
_AS_MPI15 = {"thorax": "upper_neck", "pelvis": "chest"}  # the keypoints that MPII has and MPI_15 has not
_MPII16_LINES = (  # MPII's own tree, from the trunk outwards
    "pelvis>thorax thorax>upper_neck upper_neck>head_top thorax>right_shoulder right_shoulder>right_elbow "
    "right_elbow>right_wrist thorax>left_shoulder left_shoulder>left_elbow left_elbow>left_wrist pelvis>right_hip "
    "right_hip>right_knee right_knee>right_ankle pelvis>left_hip left_hip>left_knee left_knee>left_ankle"
)


def colours(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    """One RGB colour for each keypoint: OpenPose's where it has them, else around the hue circle."""
    published = {"coco18": _COCO18, "body25": _BODY25, "mpi15": _MPI15}
    if skeleton.name in published:
        return list(published[skeleton.name])
    if skeleton is COCO17:
        return [_COCO18[source[0]] for source in COCO17.sources(COCO18)]
    if skeleton == MPII16:
        return [_MPI15[MPI15.index(_AS_MPI15.get(name, name))] for name in MPII16.keypoints]
    hues = np.linspace(0, 179, skeleton.n_keypoints, endpoint=False).astype(np.uint8)
    hsv = np.stack([hues, np.full_like(hues, 255), np.full_like(hues, 255)], axis=-1)[None]
    return [(int(r), int(g), int(b)) for r, g, b in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]]


def lines(skeleton: Skeleton) -> list[tuple[int, int]]:
    """The lines that are drawn: the limbs without ear-shoulder ones; names decide where a skeleton has no limbs."""
    if skeleton.limbs:
        return [limb for i, limb in enumerate(skeleton.limbs) if i not in skeleton.fill_limbs]
    if skeleton in (HAND21, FACE70):
        return list(HAND_LINES if skeleton is HAND21 else FACE_LINES)
    if skeleton == MPII16:
        named = [line.split(">") for line in _MPII16_LINES.split()]
        return [(MPII16.index(a), MPII16.index(b)) for a, b in named]
    names = [(COCO18.keypoints[a], COCO18.keypoints[b]) for a, b in lines(COCO18)]
    inside = [(a, b) for a, b in names if a in skeleton.keypoints and b in skeleton.keypoints]
    torso = [(f"{side}_shoulder", f"{side}_hip") for side in ("left", "right")]
    across = [("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")]
    return [(skeleton.index(a), skeleton.index(b)) for a, b in (*torso, *across, *inside)]


def draw_poses(
    image: np.ndarray, poses: Sequence[Pose], skeleton: Skeleton, threshold: float = KEYPOINT_THRESHOLD
) -> np.ndarray:
    """Predicted people; keypoints whose score is not above `threshold` are left out."""
    shown = image.copy()
    for pose in poses:
        _draw_body(shown, pose.keypoints, pose.keypoints[:, 2] > threshold, skeleton)
    return cv2.addWeighted(shown, _ALPHA_POSE, image, 1 - _ALPHA_POSE, 0)


def draw_persons(image: np.ndarray, persons: Sequence[Person], skeleton: Skeleton = COCO17) -> np.ndarray:
    """Annotated people; hidden keypoints are rings, crowds are framed."""
    shown = image.copy()
    for person in persons:
        if person.crowd or not person.n_keypoints:
            x, y, w, h = (round(v) for v in person.box)
            cv2.rectangle(shown, (x, y), (x + w, y + h), (255, 255, 255), 1)
            continue
        _draw_body(shown, person.keypoints, person.keypoints[:, 2] > 0, skeleton, person.keypoints[:, 2] == 1)
    return cv2.addWeighted(shown, _ALPHA_POSE, image, 1 - _ALPHA_POSE, 0)


def draw_heat(image: np.ndarray, maps: Maps, keypoint: int | None = None) -> np.ndarray:
    """One keypoint's heatmap over the image, or the largest of all keypoints."""
    last = maps.heat.shape[-1] - 1
    heat = maps.heat[..., :last].max(axis=-1) if keypoint is None else maps.heat[..., keypoint]
    return _coloured(_laid_over(np.clip(heat, 0, 1), maps, image), image)


def draw_crops(image: np.ndarray, heat: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """The heatmaps (N, h, w, K) of N crops where they are in the image, the largest of all keypoints and crops.

    `matrices` (N, 2, 3) lead from px of the image to cells; what no crop shows is as where nothing was found.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    largest = np.zeros(image.shape[:2], np.float32)
    for crop, matrix in zip(np.clip(heat, 0, 1).max(axis=-1), matrices, strict=True):
        np.maximum(largest, cv2.warpAffine(crop, matrix, image.shape[1::-1], flags=flags), out=largest)
    return _coloured(largest, image)


def draw_paf(image: np.ndarray, maps: Maps) -> np.ndarray:
    """The strongest limb's direction as hue (red points right, then clockwise) and its strength as brightness."""
    h, w = maps.paf.shape[:2]
    vectors = maps.paf.reshape(h, w, -1, 2)
    length = np.linalg.norm(vectors, axis=-1)
    strongest = length.argmax(axis=-1)[..., None]
    vector = np.take_along_axis(vectors, strongest[..., None], axis=2)[:, :, 0]
    angle = np.degrees(np.arctan2(vector[..., 1], vector[..., 0])) % 360
    strength = np.clip(np.take_along_axis(length, strongest, axis=2)[..., 0], 0, 1)
    hsv = np.stack([angle / 2, np.full_like(angle, 255), strength * 255], axis=-1).astype(np.uint8)
    field = _laid_over(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), maps, image)
    faded = (image * (1 - _ALPHA_MAP)).astype(np.uint8)
    return cv2.add(faded, field)


def tile(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Pictures of one height side by side, each under its title."""
    gap = np.full((pictures[0].shape[0] + 28, 6, 3), 255, np.uint8)
    parts = []
    for picture, title in zip(pictures, titles, strict=True):
        head = np.full((28, picture.shape[1], 3), 255, np.uint8)
        cv2.putText(head, title, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (30, 30, 30), 1, cv2.LINE_AA)
        parts += [np.vstack([head, picture]), gap]
    return np.hstack(parts[:-1])


def _laid_over(values: np.ndarray, maps: Maps, image: np.ndarray) -> np.ndarray:
    """Values of the maps (h, w, ...) at every pixel of the image, which may be a part of what the maps show."""
    (x, y), (shift_x, shift_y), centre = maps.to_image, maps.shift, (maps.cell - 1) / 2
    to_maps = np.array(
        [
            [1 / (x * maps.cell), 0, (-shift_x / x - centre) / maps.cell],
            [0, 1 / (y * maps.cell), (-shift_y / y - centre) / maps.cell],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, to_maps, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _coloured(heat: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Heat (H, W) in 0 to 1 over the image."""
    colour = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return cv2.addWeighted(colour, _ALPHA_MAP, image, 1 - _ALPHA_MAP, 0)


def _draw_body(
    canvas: np.ndarray, keypoints: np.ndarray, known: np.ndarray, skeleton: Skeleton, hidden: np.ndarray | None = None
) -> None:
    palette = colours(skeleton)
    if not known.any():
        return
    extent = np.ptp(keypoints[known, :2], axis=0)
    radius = max(2, round(float(np.sqrt(extent.prod())) / 40))
    points = [(round(float(x)), round(float(y))) for x, y in keypoints[:, :2]]
    for a, b in lines(skeleton):
        if known[a] and known[b]:
            cv2.line(canvas, points[a], points[b], palette[b], max(2, round(0.75 * radius)), cv2.LINE_AA)
    for k in np.flatnonzero(known):
        ring = hidden is not None and hidden[k]
        cv2.circle(canvas, points[k], radius + 1, palette[k], 1 if ring else cv2.FILLED, cv2.LINE_AA)
