"""From an image to people with any network: scales, mirroring, merging, decoding; the same for all frameworks."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import cv2
import numpy as np

from shared import fit as geometry
from shared.codec import decoders, spec
from shared.codec.spec import STRIDE, Maps
from shared.errors import UserError
from shared.fit import Fitted
from shared.net import Net
from shared.person import Pose
from shared.skeleton import Skeleton, skeleton

Outputs = Mapping[str, np.ndarray]  # "heat" (h, w, K + 1) and, where the network has it, "paf" (h, w, 2L)
MAX_MAP_PIXELS = 32_000_000  # 57 maps of that size take 7 GB
_FIELDS = ("heat", "paf")
_CUBIC = -0.75  # OpenCV's cubic kernel


class BottomUp:
    """A predictor: an image (H, W, 3) uint8 RGB to people in image pixels, in the network's skeleton.

    `decoder` names the rules (`shared.codec.spec.DECODERS`) and brings its geometry, which `fit` replaces.  The
    image is brought to `height` px times each of `scales`; with `flip` the mirrored image is averaged in.
    `seconds` adds up the time spent in "network" (with resizing and merging) and "decode".
    """

    def __init__(
        self,
        net: Net,
        decoder: str = "reference",
        fit: str | None = None,
        height: int = 368,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
    ) -> None:
        self.net = net
        self.skeleton = skeleton(net.info.spec.skeleton)
        self.spec = spec.decoder(decoder, self.skeleton.name)
        self.fit = geometry.fit(fit or self.spec.fit)
        self.height = height
        self.scales = tuple(scales)
        self.flip = flip
        self.seconds = {"network": 0.0, "decode": 0.0}
        _check(height, self.scales)

    def __call__(self, image: np.ndarray) -> list[Pose]:
        start = time.perf_counter()
        maps = self.maps(image)
        middle = time.perf_counter()
        poses = decoders.run(maps, self.skeleton, self.spec)
        self.seconds["network"] += middle - start
        self.seconds["decode"] += time.perf_counter() - middle
        return poses

    def maps(self, image: np.ndarray) -> Maps:
        """The merged maps that the decoder reads."""
        preprocess = self.net.info.preprocess
        fitted = geometry.apply(image, self.height, self.scales, self.fit, preprocess)
        inputs = [f.input for f in fitted]
        if self.flip:
            mirrored = geometry.apply(image, self.height, self.scales, self.fit, preprocess, mirror=True)
            inputs += [f.input for f in mirrored]
        outputs = run(self.net, inputs)
        plain, flipped = outputs[: len(fitted)], outputs[len(fitted) :]
        return merge(fitted, plain, flipped, image.shape[:2], self.spec.resolution, self.skeleton)

    def describe(self) -> dict[str, object]:
        """Everything here that changes a result, for the protocol."""
        return {
            "decoder": asdict(self.spec),
            "fit": asdict(self.fit),
            "height": self.height,
            "scales": list(self.scales),
            "flip": self.flip,
        }


def run(net: Net, inputs: Sequence[np.ndarray]) -> list[Outputs]:
    """The final maps of every input (h, w, 3); inputs of one size share a batch."""
    outputs: list[Outputs] = [{}] * len(inputs)
    sizes: dict[tuple[int, ...], list[int]] = {}
    for i, array in enumerate(inputs):
        sizes.setdefault(array.shape, []).append(i)
    for indices in sizes.values():
        maps = net(np.stack([inputs[i] for i in indices]))
        for position, i in enumerate(indices):
            outputs[i] = {name: maps[name][position] for name in _FIELDS if name in maps}
    return outputs


def merge(
    fitted: Sequence[Fitted],
    plain: Sequence[Outputs],
    flipped: Sequence[Outputs],
    size: tuple[int, int],
    resolution: str,
    skeleton: Skeleton,
) -> Maps:
    """The mean of the maps of all scales, and of their mirrored copies if there are, at the decoder's resolution.

    `size` is the image's.  "image" and "network" enlarge each map 8 times, cut the padding off and bring it to the
    size of the image or of the largest scale (OpenPose itself keeps the padding, in which nobody is found); "stride"
    brings each map to the cells of the largest scale.  All with OpenCV's cubic kernel.
    """
    sources = [(f, maps, False) for f, maps in zip(fitted, plain, strict=True)]
    largest, largest_maps, _ = max(sources, key=lambda source: source[0].content)
    sources += [(f, maps, True) for f, maps in zip(fitted if flipped else (), flipped, strict=True)]
    target = {"image": size, "network": largest.content, "stride": largest_maps["heat"].shape[:2]}[resolution]
    if target[0] * target[1] > MAX_MAP_PIXELS:
        raise UserError(
            f"an image of {size[1]}x{size[0]} px: this decoder's maps are as large, expected at most "
            f"{MAX_MAP_PIXELS // 1_000_000} megapixels; make it smaller or choose reference-openpose"
        )
    merged = {"paf": np.zeros((*target, 0), np.float32)}
    for name, array in plain[0].items():
        total = np.zeros((array.shape[-1], *target), np.float32)  # (C, h, w): channels are worked on one by one
        order, sign = _mirrored_channels(name, skeleton)
        for f, maps, mirrored in sources:
            if resolution == "stride":
                view = _cells_view(f, largest, maps[name].shape[:2], target, mirrored)
            else:
                view = partial(_pixels_view, f, target, mirrored)
            for c, out in enumerate(total):
                channel = view(np.ascontiguousarray(maps[name][..., order[c] if mirrored else c]))
                out += sign[c] * channel if mirrored else channel
        total /= len(sources)
        merged[name] = np.moveaxis(total, 0, -1)
    return Maps(merged["heat"], merged["paf"], *_to_image(largest, resolution), STRIDE if resolution == "stride" else 1)


def _mirrored_channels(name: str, skeleton: Skeleton) -> tuple[Sequence[int], np.ndarray]:
    """For each channel, the channel of a mirrored image's map that holds it, and its sign there."""
    if name == "heat":
        return skeleton.heat_flip, np.ones(skeleton.n_heat, np.float32)
    return skeleton.paf_flip, skeleton.paf_sign


def _pixels_view(fitted: Fitted, size: tuple[int, int], mirrored: bool, channel: np.ndarray) -> np.ndarray:
    """A map (h, w) enlarged to px of the network's input, without padding, turned back, then brought to `size`."""
    if channel.shape == tuple(side / STRIDE for side in fitted.input.shape[:2]):
        channel = channel[: fitted.padded[0] // STRIDE, : fitted.padded[1] // STRIDE]
        enlarged = _resize(channel, (channel.shape[0] * STRIDE, channel.shape[1] * STRIDE))
        top, left = fitted.origin
        content = enlarged[top : top + fitted.content[0], left : left + fitted.content[1]]
    else:  # an input of broken cells: the whole map stands for the whole image (kevinlin's method 0)
        content = _resize(channel, fitted.content)
    return _resize(content[:, ::-1] if mirrored else content, size)


def _resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if array.shape == tuple(size):
        return array
    return cv2.resize(np.ascontiguousarray(array), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def _cells_view(
    fitted: Fitted, largest: Fitted, shape: tuple[int, int], size: tuple[int, int], mirrored: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """What reads a map of that shape at the `size` cells of the largest scale, turned back if it is mirrored."""
    weights = []
    for axis in (0, 1):
        pixels = STRIDE * np.arange(size[axis]) + (STRIDE - 1) / 2 - largest.origin[axis]
        ratio = fitted.content[axis] / largest.content[axis]
        pixels = (pixels + 0.5) * ratio - 0.5
        if mirrored and axis == 1:
            pixels = fitted.content[1] - 1 - pixels
        weights.append(_cubic((pixels + fitted.origin[axis] - (STRIDE - 1) / 2) / STRIDE, shape[axis]))
    rows, columns = weights
    return lambda channel: rows @ channel @ columns.T


def _cubic(positions: np.ndarray, n: int) -> np.ndarray:
    """(len(positions), n) float32 weights that read n values at fractional positions; the ends are repeated."""
    first = np.floor(positions)
    weights = np.zeros((len(positions), n), np.float32)
    for tap in (-1, 0, 1, 2):
        x = np.abs(positions - first - tap)
        near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
        far = ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC
        index = np.clip(first.astype(int) + tap, 0, n - 1)
        weights[np.arange(len(positions)), index] += np.where(x <= 1, near, far)
    return weights


def _to_image(fitted: Fitted, resolution: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """`to_image` and `shift` of the merged maps."""
    (x, y), (shift_x, shift_y), (top, left) = fitted.to_image, fitted.shift, fitted.origin
    if resolution == "image":
        return (1.0, 1.0), (0.0, 0.0)
    if resolution == "network":  # the padding was cut off
        return (x, y), (shift_x + left * x, shift_y + top * y)
    return (x, y), (shift_x, shift_y)


def _check(height: int, scales: Sequence[float]) -> None:
    if not scales or not all(math.isfinite(scale) and 0 < scale <= 8 for scale in scales):
        raise UserError(
            f"--scales {','.join(map(str, scales))}: expected numbers above 0 and up to 8, like 0.5,1,1.5,2"
        )
    if not 16 <= height <= 4096:
        raise UserError(f"--height {height}: expected 16 to 4096 px; 368 is the published one")
