"""How an image becomes the input of a network: size, interpolation and padding, as the originals do it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from shared.errors import UserError, unknown
from shared.preprocess import Preprocess

MAX_INPUT_PIXELS = 64_000_000  # of one input; a strip of 10,000 x 20 px would ask for more
_LONGEST_SIDE = 32_766  # what OpenCV's warp can address
_BASE_HEIGHT = 368  # at which `Fit.width` is given


@dataclass(frozen=True)
class Fit:
    """One published geometry.  `height` below is the height asked for times the scale.

    `side`: what becomes `height`: the image's "height" or "short" side; "none" leaves the image as it is; "net" is
    OpenPose's rule (the input is `height` by the width that the aspect gives, both rounded to `multiple`, and the
    image is scaled to fit inside).
    `width`: the image's width at height 368, whatever its aspect; None keeps the aspect.
    `snap`: both sides are rounded to a multiple of this, which bends the aspect by less than 2 %.
    `interpolation`: "cubic", "linear", "cubic_or_linear" or "cubic_or_area" (the second when shrinking).
    `rounding` of the size: "nearest" (OpenCV) or "up" (Matlab).
    `multiple`: the input's sides are padded up to a multiple of this, 1 for no padding, and at least to `least`.
    `centred`: the padding is shared by both sides, else it is at the right and at the bottom.
    `pad`: brightness of the padding, 0..255, before the colours are normalised.
    `normalise`: colours are normalised "after" resizing and padding, or "before" (values may then overshoot).
    `canvas`: "own" (each scale has its size) or "last" (H-Liu: all scales in one batch, each in the top left corner
    of a canvas of the last scale's size, which is to be the largest; the rest of it is 0 after normalisation).
    `half_pixel`: a resize keeps the image's corner, so that px x of the input is the image's (x + 0.5) / factor - 0.5;
    False: x / factor, which is right for OpenPose's warp, and what tensorboy has after a resize all the same.
    """

    name: str
    side: str = "height"
    width: int | None = None
    snap: int = 1
    interpolation: str = "cubic"
    rounding: str = "nearest"
    multiple: int = 8
    least: int = 0
    centred: bool = False
    pad: int = 128
    normalise: str = "after"
    canvas: str = "own"
    half_pixel: bool = True


FITS = {
    fit.name: fit
    for fit in (
        # For networks of this project: no padding, no aliasing.
        Fit("plain", snap=8, interpolation="cubic_or_area"),
        Fit("kl"),  # Zhe Cao's Python demo, kevinlin's method 1, anatolix
        Fit("kl-plain", side="none", multiple=1),  # kevinlin's method 0
        # Zhe Cao's Matlab, as near as OpenCV comes: imresize weighs its antialiasing otherwise than INTER_AREA, its
        # cubic kernel has a = -0.5 where OpenCV's has -0.75, and too large a scale is left out there.
        Fit("matlab", interpolation="cubic_or_area", rounding="up", least=368, centred=True),
        Fit("hl", side="short", interpolation="linear", pad=0, canvas="last"),
        Fit("tensorboy", side="short", interpolation="linear", pad=0, half_pixel=False),
        Fit("openpose", side="net", interpolation="cubic_or_linear", multiple=16, pad=0, half_pixel=False),
        Fit("lightweight", normalise="before", least=368, centred=True),
        Fit("tf", snap=8),  # tf-pose-estimation with the aspect kept
        Fit("tf-432x368", width=432, snap=8),
        Fit("tf-656x368", width=656, snap=8),
    )
}


def fit(name: str) -> Fit:
    """The geometry of that name."""
    if name not in FITS:
        raise unknown("--fit", name, FITS)
    return FITS[name]


@dataclass(frozen=True, eq=False)
class Fitted:
    """An input (h, w, 3) float32, and where the image lies in it.

    `content` is the image's size (height, width) inside the input, `origin` its first (row, column), `padded` the
    size of the input before it was laid on a larger canvas.  An (x, y) of the input is the image's
    `(x, y) * to_image + shift`.
    """

    input: np.ndarray
    content: tuple[int, int]
    origin: tuple[int, int]
    padded: tuple[int, int]
    to_image: tuple[float, float]
    shift: tuple[float, float]


def apply(
    image: np.ndarray, height: int, scales: Sequence[float], fit: Fit, preprocess: Preprocess, mirror: bool = False
) -> list[Fitted]:
    """The input of every scale for an image (H, W, 3) uint8 RGB; `height` is that of scale 1, in px.

    With `mirror` the resized image is turned left to right before it is padded: its padding is where it always is,
    and column x of the content is the plain content's column w - 1 - x exactly.  `to_image` and `shift` stay those
    of the plain image.  Raises `UserError` where the input would be absurdly large.
    """
    fitted = [_one(image, height * scale, fit, preprocess, mirror) for scale in scales]
    if fit.canvas == "own":
        return fitted
    size = max(f.padded[0] for f in fitted), max(f.padded[1] for f in fitted)
    return [_on_canvas(f, size) for f in fitted]


def input_sizes(size: tuple[int, int], height: int, scales: Sequence[float], fit: Fit) -> tuple[tuple[int, int], ...]:
    """(height, width) of the inputs that `apply` makes of an image of `size`, one a scale, before any shared canvas."""
    return tuple(_sizes(size, height * scale, fit)[1] for scale in scales)


def _one(image: np.ndarray, height: float, fit: Fit, preprocess: Preprocess, mirror: bool) -> Fitted:
    if fit.normalise == "before":
        image = preprocess(image)
    content, padded = _sizes(image.shape[:2], height, fit)
    _check(image.shape[:2], padded)
    resized, factor = _resize(image, height, content, padded, fit)
    if mirror:
        resized = np.ascontiguousarray(resized[:, ::-1])
    down, right = (whole - part for whole, part in zip(padded, content, strict=True))
    top, left = (down // 2, right // 2) if fit.centred else (0, 0)
    pad = preprocess.value(fit.pad).tolist() if fit.normalise == "before" else (fit.pad,) * 3
    filled = cv2.copyMakeBorder(resized, top, down - top, left, right - left, cv2.BORDER_CONSTANT, value=pad)
    half = 0.5 if fit.half_pixel else 0.0
    to_image = (1 / factor[1], 1 / factor[0])
    shift = ((half - left) / factor[1] - half, (half - top) / factor[0] - half)
    array = filled if fit.normalise == "before" else preprocess(filled)
    return Fitted(np.ascontiguousarray(array), content, (top, left), padded, to_image, shift)


def _check(size: tuple[int, int], padded: tuple[int, int]) -> None:
    if max(size) > _LONGEST_SIDE or padded[0] * padded[1] > MAX_INPUT_PIXELS:
        raise UserError(
            f"an image of {size[1]}x{size[0]} px would become an input of {padded[1]}x{padded[0]}, expected at most "
            f"{_LONGEST_SIDE} px a side and {MAX_INPUT_PIXELS // 1_000_000} megapixels; cut it, or ask for less height"
        )


def _sizes(size: tuple[int, int], height: float, fit: Fit) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of the resized image, and of the padded input."""
    if fit.side == "net":
        net = _net_size(size, height, fit.multiple)
        factor = _net_factor(size, net)
        h, w = (min(n, int(np.ceil((s - 1) * factor)) + 1) for s, n in zip(size, net, strict=True))
        return (h, w), net
    factors = _factors(size, height, fit)
    h, w = (max(_rounded(s * f / fit.snap, fit.rounding), 1) * fit.snap for s, f in zip(size, factors, strict=True))
    h_padded, w_padded = (side + -side % fit.multiple for side in (max(h, fit.least), max(w, fit.least)))
    return (h, w), (h_padded, w_padded)


def _rounded(value: float, rounding: str) -> int:
    return round(value) if rounding == "nearest" else int(np.ceil(value - 1e-9))


def _factors(size: tuple[int, int], height: float, fit: Fit) -> tuple[float, float]:
    """What the image's height and width are multiplied by, before rounding."""
    if fit.side == "none":
        return 1.0, 1.0
    if fit.width is not None:
        return height / size[0], fit.width * height / _BASE_HEIGHT / size[1]
    factor = height / (size[0] if fit.side == "height" else min(size))
    return factor, factor


def _resize(
    image: np.ndarray, height: float, content: tuple[int, int], padded: tuple[int, int], fit: Fit
) -> tuple[np.ndarray, tuple[float, float]]:
    """The image at the size `content`, and by what its height and width were multiplied."""
    size = image.shape[:2]
    if fit.side == "net":
        factor = _net_factor(size, padded)
        matrix = np.array([[factor, 0, 0], [0, factor, 0]])
        flags = _interpolation(fit, factor)
        return cv2.warpAffine(image, matrix, content[::-1], flags=flags), (factor, factor)
    y, x = _factors(size, height, fit)
    interpolation = _interpolation(fit, min(y, x))
    if (round(size[0] * y), round(size[1] * x)) == content and fit.snap == 1:
        # Given factors, OpenCV samples by them and not by the ratio of the rounded sizes.
        return cv2.resize(image, None, fx=x, fy=y, interpolation=interpolation), (y, x)
    resized = cv2.resize(image, content[::-1], interpolation=interpolation)
    return resized, (content[0] / size[0], content[1] / size[1])


def _interpolation(fit: Fit, factor: float) -> int:
    enlarging, _, shrinking = fit.interpolation.partition("_or_")
    name = enlarging if factor > 1 else shrinking or enlarging
    return {"cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}[name]


def _net_size(size: tuple[int, int], height: float, multiple: int) -> tuple[int, int]:
    """OpenPose's network size: the height as given, the width by the aspect, both rounded to `multiple`."""
    h = max(multiple, round(height / multiple) * multiple)
    return h, max(multiple, round(h * size[1] / size[0] / multiple) * multiple)


def _net_factor(size: tuple[int, int], net_size: tuple[int, int]) -> float:
    return min((n - 1) / max(s - 1, 1) for n, s in zip(net_size, size, strict=True))


def _on_canvas(fitted: Fitted, size: tuple[int, int]) -> Fitted:
    canvas = np.zeros((*size, 3), np.float32)
    canvas[: fitted.padded[0], : fitted.padded[1]] = fitted.input
    return Fitted(canvas, fitted.content, fitted.origin, fitted.padded, fitted.to_image, fitted.shift)
