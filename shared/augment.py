"""One affine from an image to a training crop, and changes of colour; the originals' ranges as named values."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

_INTERPOLATION = {"cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR}
_NEAR_A_PERSON = 0.8  # share of the "people" crops that are placed on somebody


@dataclass(frozen=True)
class Augment:
    """How crops of `crop` x `crop` px are drawn.  Every draw is uniform unless said otherwise.

    `follow`: "main" brings the middle of the main person's box to the middle of the crop and its height to
    `target` of the crop (the originals' target_dist); "anywhere" scales the image as a whole and takes any window
    of it; "people" does so too, but places most of the windows on somebody.  These windows begin at multiples of
    `snap` px of the crop, as near as can be to where they were drawn; 0: wherever that is.
    `scale`: a factor in this range, drawn with `law` "uniform" or "log", and taken to the power `power` (H-Liu's code
    multiplies twice).  `rotation`: up to so many degrees to either side.  `shift`: the window moves by up to so many
    px on each axis, "crop" px or "image" px as `shift_in` says.  `flip`: probability of the mirror image; a mirrored
    x is crop - 1 - x ("pixel") or crop - x ("edge", kevinlin's, which is one px off).
    `joint_shift` is added to the annotated x and y (-1: the Caffe code reads them as Matlab's, counted from 1); what is
    out of the image then is absent.
    `border`: RGB outside the image.  `interpolation` of image and mask, and `mask` of the mask's way to the map's
    cells: "cubic" or "area".  `outside`: keypoints out of the crop are "keep"t, and leak in, or "drop"ped.
    `decode`: "full", or "reduced": of a JPEG that the crop shrinks to a half, a quarter or an eighth, only so much is
    decoded; faster, and without aliasing where "full" takes one px in two and more.
    `gain` and `offset` change contrast and brightness (x - 128) (1 +- gain) + 128 +- offset.  `jitter`, `jpeg` and
    `grey` are tensorboy's: torchvision's ColorJitter, and the probabilities of JPEG at quality 50 and of a grey image.

    The originals cut at whole pixels; here image and keypoints move by the same matrix, without rounding.
    """

    crop: int = 368
    follow: str = "main"
    target: float = 0.6
    snap: int = 0
    scale: tuple[float, float] = (0.5, 1.1)
    law: str = "uniform"
    power: int = 1
    rotation: float = 40.0
    shift: float = 40.0
    shift_in: str = "crop"
    flip: float = 0.5
    mirror: str = "pixel"
    joint_shift: float = 0.0
    border: tuple[int, int, int] = (128, 128, 128)
    interpolation: str = "cubic"
    mask: str = "cubic"
    outside: str = "keep"
    decode: str = "full"
    gain: float = 0.0
    offset: float = 0.0
    jitter: float = 0.0
    jpeg: float = 0.0
    grey: float = 0.0


CAFFE = Augment(joint_shift=-1.0)  # caffe_rtpose, data_transformer.cpp with the parameters of the published prototxt
# kevinlin, anatolix: scale_prob = 1 is tested with >, so that nothing is ever scaled.
KERAS = Augment(scale=(1.0, 1.0), shift_in="image", mirror="edge", border=(127, 127, 127))
HL = replace(KERAS, scale=(0.5, 0.9), power=2)  # H-Liu's HDF5 loader
TENSORBOY = Augment(
    follow="anywhere", scale=(0.5, 1.0), rotation=0.0, shift=0.0, border=(124, 116, 104), outside="drop",
    jitter=0.1, jpeg=0.1, grey=0.01,
)  # fmt: skip
LIGHTWEIGHT = Augment(interpolation="linear", mask="area")
MODERN = Augment(
    follow="people", scale=(0.65, 1.4), law="log", rotation=25.0, shift=0.0, interpolation="linear", mask="area",
    gain=0.2, offset=20.0,
)  # fmt: skip

AUGMENTS = {
    "caffe": CAFFE, "keras": KERAS, "hl": HL, "tensorboy": TENSORBOY, "lightweight": LIGHTWEIGHT, "modern": MODERN,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Affine:
    """`matrix` (2, 3) takes (x, y) of the image to (x, y) of the crop; `mirrored` says whether left is right."""

    matrix: np.ndarray
    mirrored: bool

    def points(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points, moved; the third column stays."""
        moved = points.astype(np.float64)
        moved[..., :2] = moved[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved.astype(np.float32)

    @property
    def factor(self) -> float:
        """How many px of the crop one px of the image becomes."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))

    def reduced(self, n: int) -> "Affine":
        """The same for the image at 1/n, whose px r is the image's px n r to n r + n - 1."""
        linear = self.matrix[:, :2]
        return Affine(
            np.column_stack([n * linear, self.matrix[:, 2] + linear.sum(axis=1) * (n - 1) / 2]), self.mirrored
        )


def plain(size: tuple[int, int], boxes: np.ndarray, main: bool, spec: Augment) -> Affine:
    """The affine without anything random, for the validation loss: on the main person, or on the image's middle."""
    if spec.follow == "main" and main:
        centre, height = _main(boxes, spec)
        factor = spec.target * spec.crop / height
        return _affine(tuple(centre), factor, 0.0, False, (0.0, 0.0), spec)
    return _affine(((size[1] - 1) / 2, (size[0] - 1) / 2), 1.0, 0.0, False, (0.0, 0.0), spec)


def draw(rng: np.random.Generator, size: tuple[int, int], boxes: np.ndarray, main: bool, spec: Augment) -> Affine:
    """A random affine for an image of `size` (height, width) with people in `boxes` (P, 4: x, y, width, height).

    With `main`, the first box is the person that "main" follows; without one, any window of the image is taken.
    """
    low, high = spec.scale
    factor = math.exp(rng.uniform(math.log(low), math.log(high))) if spec.law == "log" else rng.uniform(low, high)
    factor **= spec.power
    angle = math.radians(rng.uniform(-spec.rotation, spec.rotation))
    shift = rng.uniform(-spec.shift, spec.shift, 2)
    mirrored = bool(rng.random() < spec.flip)
    if spec.follow == "main" and main:
        centre, height = _main(boxes, spec)
        factor *= spec.target * spec.crop / height
        if spec.shift_in == "image":
            centre, shift = centre + shift, np.zeros(2)
        return _affine(tuple(centre), factor, angle, mirrored, tuple(shift), spec)
    boxes = boxes if spec.follow == "people" else boxes[:0]
    middle = _window(rng, size, boxes, spec.crop / factor, spec.snap / factor)
    return _affine(middle, factor, angle, mirrored, (0.0, 0.0), spec)


def _main(boxes: np.ndarray, spec: Augment) -> tuple[np.ndarray, float]:
    """The middle (x, y) of the first box, read as the keypoints are, and its height, px of the image."""
    x, y, width, height = boxes[0].astype(np.float64)
    return np.array([x + width / 2, y + height / 2]) + spec.joint_shift, max(height, 1.0)


def _window(
    rng: np.random.Generator, size: tuple[int, int], boxes: np.ndarray, side: float, snap: float
) -> tuple[float, float]:
    """The middle of a window of `side` image px that lies on the image where it fits; else the image is centred.

    Then its corner goes to the nearest multiple of `snap` px, if that is not 0.
    """
    x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
    if len(boxes) and rng.random() < _NEAR_A_PERSON:
        left, top, width, height = boxes[int(rng.integers(len(boxes)))].astype(np.float64)
        x, y = left + width * rng.uniform(0.1, 0.9), top + height * rng.uniform(0.1, 0.9)
    half = side / 2
    placed = [
        min(max(value, half), length - half) if length > side else length / 2
        for value, length in ((x, size[1]), (y, size[0]))
    ]
    if snap:
        placed = [round((value - half) / snap) * snap + half for value in placed]
    return placed[0] - 0.5, placed[1] - 0.5  # the image begins half a px before the middle of its first one


def _affine(
    centre: tuple[float, ...], factor: float, angle: float, mirrored: bool, shift: tuple[float, ...], spec: Augment
) -> Affine:
    """Turn and scale about `centre`, bring it to the middle of the crop, move the window by `shift`, mirror."""
    cos, sin = factor * math.cos(angle), factor * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = spec.crop / 2 if spec.follow == "main" else (spec.crop - 1) / 2
    offset = middle - linear @ np.array(centre) - np.array(shift)
    matrix = np.column_stack([linear, offset])
    if mirrored:
        matrix[0] = -matrix[0]
        matrix[0, 2] += spec.crop - 1 if spec.mirror == "pixel" else spec.crop
    return Affine(matrix, mirrored)


def most_reduced(affine: Affine, spec: Augment) -> int:
    """By how much an image may be reduced before it is warped."""
    return max(1, int(1 / max(affine.factor, 1e-9))) if spec.decode == "reduced" else 1


def warp_image(image: np.ndarray, affine: Affine, spec: Augment, reduction: int = 1) -> np.ndarray:
    """(crop, crop, 3) uint8 of an RGB image, or of one that was already reduced to 1 / `reduction`."""
    flags, matrix = _INTERPOLATION[spec.interpolation], affine.reduced(reduction).matrix
    return cv2.warpAffine(image, matrix, (spec.crop, spec.crop), flags=flags, borderValue=spec.border)


def warp_mask(mask: np.ndarray | None, affine: Affine, spec: Augment, stride: int) -> np.ndarray:
    """(h, w, 1) float32 at the map's cells, of a mask (H, W) uint8; 1 outside the image, and everywhere for None."""
    cells = spec.crop // stride
    if mask is None:
        return np.ones((cells, cells, 1), np.float32)
    flags = _INTERPOLATION[spec.interpolation]
    crop = cv2.warpAffine(mask, affine.matrix, (spec.crop, spec.crop), flags=flags, borderValue=255)
    if spec.mask == "cubic":  # in 8 bits, so that it does not overshoot
        small = np.asarray(cv2.resize(crop, (cells, cells), interpolation=cv2.INTER_CUBIC), np.float32)
    else:
        small = np.asarray(cv2.resize(crop.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA))
    return small[..., None] / np.float32(255)


def colour(rng: np.random.Generator, image: np.ndarray, spec: Augment) -> np.ndarray:
    """An RGB uint8 image with its colours changed; uint8."""
    if spec.gain or spec.offset:
        gain, offset = rng.uniform(1 - spec.gain, 1 + spec.gain), rng.uniform(-spec.offset, spec.offset)
        table = np.clip(np.rint((np.arange(256) - 128) * gain + 128 + offset), 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table)
    if spec.jitter:
        image = _jitter(rng, image, spec.jitter)
    if spec.jpeg and rng.random() < spec.jpeg:
        data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    if spec.grey and rng.random() < spec.grey:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    return np.ascontiguousarray(image)


def _jitter(rng: np.random.Generator, image: np.ndarray, amount: float) -> np.ndarray:
    """Brightness, contrast, saturation and hue as torchvision's ColorJitter has them, in this order."""
    brightness, contrast, saturation = rng.uniform(1 - amount, 1 + amount, 3).tolist()
    hue = rng.uniform(-amount, amount)
    x = np.clip(image.astype(np.float32) * brightness, 0, 255)
    mean = float(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).mean())
    x = np.clip(mean + (x - mean) * contrast, 0, 255)
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None]
    x = np.clip(grey + (x - grey) * saturation, 0, 255)
    hsv = cv2.cvtColor(x / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * hue) % 360
    return np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).astype(np.uint8)
