"""Maps of several scales and of a mirrored image as one, at the resolution that a decoder works at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from shared.codec.spec import STRIDE, Maps
from shared.errors import UserError
from shared.fit import Fitted
from shared.skeleton import Skeleton

Outputs = Mapping[str, np.ndarray]  # "heat" (h, w, K + 1) and, where the network has it, "paf" (h, w, 2L)
Size = tuple[int, int]
Pair = tuple[float, float]
MAX_MAP_PIXELS = 32_000_000  # 57 maps of that size take 7 GB
_CUBIC = -0.75  # OpenCV's cubic kernel
_SAME = 1e-6  # of two weights


@dataclass(frozen=True, eq=False)
class View:
    """How maps of one scale are read at the H x W cells of the largest: columns @ (rows @ (their sum)).

    `sources` are their numbers among all maps, those of mirrored images after the others and already turned back.
    `rows` (H, h) and `columns` (W, w) float32; None for the largest scale, which is read as it is.
    """

    sources: tuple[int, ...]
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None


def merge(
    fitted: Sequence[Fitted],
    plain: Sequence[Outputs],
    flipped: Sequence[Outputs],
    size: Size,
    resolution: str,
    skeleton: Skeleton,
) -> Maps:
    """The mean of the maps of all scales, and of their mirrored copies if there are, at the decoder's resolution.

    `size` is the image's.  "image" and "network" enlarge each map 8 times, cut the padding off and bring it to the
    size of the image or of the largest scale (OpenPose itself keeps the padding, in which nobody is found); "stride"
    brings each map to the cells of the largest scale.  All with OpenCV's cubic kernel.
    """
    if resolution == "stride":
        how = views(fitted, [maps["heat"].shape[:2] for maps in plain], bool(flipped))
        merged = in_cells(plain, flipped, how, skeleton)
    else:
        target = size if resolution == "image" else fitted[_largest(fitted)].content
        _check(size, target)
        merged = {name: _in_pixels(name, fitted, plain, flipped, target, skeleton) for name in plain[0]}
    paf = merged.get("paf", np.zeros((*merged["heat"].shape[:2], 0), np.float32))
    return Maps(merged["heat"], paf, *grid(fitted, resolution))


def views(fitted: Sequence[Fitted], sizes: Sequence[Size], flip: bool) -> list[View]:
    """How the maps of every scale, of `sizes`, and then of every mirrored one, are read at the largest's cells."""
    n, place = len(fitted), _largest(fitted)
    if n == 1 and not flip:
        return [View((0,))]
    found = []
    for i, (f, size) in enumerate(zip(fitted, sizes, strict=True)):
        rows, columns, turned = _weights(f, fitted[place], size, sizes[place])
        alike = flip and np.allclose(columns, turned, atol=_SAME)  # without padding: one sum, read once
        weights = () if i == place else (rows, columns)
        found.append(View((i, n + i) if alike else (i,), *weights))
        if flip and not alike:
            found.append(View((n + i,), rows, turned))
    return found


def in_cells(
    plain: Sequence[Outputs], flipped: Sequence[Outputs], views: Sequence[View], skeleton: Skeleton
) -> dict[str, np.ndarray]:
    """The mean of all maps at the largest scale's cells; the very maps where there is only one scale."""
    return {name: _in_cells(name, views, plain, flipped, skeleton) for name in plain[0]}


def mirrored_channels(name: str, skeleton: Skeleton) -> tuple[Sequence[int], np.ndarray]:
    """For each channel, the channel of a mirrored image's map that holds it, and its sign there."""
    if name == "heat":
        return skeleton.heat_flip, np.ones(skeleton.n_heat, np.float32)
    return skeleton.paf_flip, skeleton.paf_sign


def grid(fitted: Sequence[Fitted], resolution: str) -> tuple[Pair, Pair, int]:
    """`to_image`, `shift` and `cell` of the merged maps (see `shared.codec.spec.Maps`)."""
    largest = fitted[_largest(fitted)]
    (x, y), (shift_x, shift_y), (top, left) = largest.to_image, largest.shift, largest.origin
    if resolution == "image":
        return (1.0, 1.0), (0.0, 0.0), 1
    if resolution == "network":  # the padding was cut off
        return (x, y), (shift_x + left * x, shift_y + top * y), 1
    return (x, y), (shift_x, shift_y), STRIDE


def _largest(fitted: Sequence[Fitted]) -> int:
    return max(range(len(fitted)), key=lambda i: fitted[i].content)


def _check(size: Size, target: Size) -> None:
    if target[0] * target[1] > MAX_MAP_PIXELS:
        raise UserError(
            f"an image of {size[1]}x{size[0]} px: this decoder's maps are as large, expected at most "
            f"{MAX_MAP_PIXELS // 1_000_000} megapixels; make it smaller or choose reference-openpose"
        )


def _in_cells(
    name: str, views: Sequence[View], plain: Sequence[Outputs], flipped: Sequence[Outputs], skeleton: Skeleton
) -> np.ndarray:
    order, sign = mirrored_channels(name, skeleton)

    def source(i: int) -> np.ndarray:
        if i < len(plain):
            return plain[i][name]
        return np.take(flipped[i - len(plain)][name][:, ::-1], order, axis=-1) * sign

    total = reduce(np.add, (_read(reduce(np.add, map(source, view.sources)), view) for view in views))
    n = len(plain) + len(flipped)
    return total if n == 1 else total / np.float32(n)


def _read(array: np.ndarray, view: View) -> np.ndarray:
    """A map (h, w, C) at the view's cells."""
    if view.rows is None or view.columns is None:
        return array
    h, _, channels = array.shape
    wide = np.matmul(view.columns, array).reshape(h, -1)  # channels last stay so: nothing is copied
    return (view.rows @ wide).reshape(len(view.rows), len(view.columns), channels)


def _weights(fitted: Fitted, largest: Fitted, shape: Size, size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What reads a map of that shape at the `size` cells of the largest scale: rows, columns, and columns of a
    mirrored image's map that was turned back."""
    pixels = []
    for axis in (0, 1):
        place = STRIDE * np.arange(size[axis]) + (STRIDE - 1) / 2 - largest.origin[axis]
        pixels.append((place + 0.5) * (fitted.content[axis] / largest.content[axis]) - 0.5)
    rows, columns, mirrored = (
        _cubic((place + fitted.origin[axis] - (STRIDE - 1) / 2) / STRIDE, shape[axis])
        for axis, place in ((0, pixels[0]), (1, pixels[1]), (1, fitted.content[1] - 1 - pixels[1]))
    )
    return rows, columns, np.ascontiguousarray(mirrored[:, ::-1])


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


def _in_pixels(
    name: str, fitted: Sequence[Fitted], plain: Sequence[Outputs], flipped: Sequence[Outputs], size: Size,
    skeleton: Skeleton,
) -> np.ndarray:  # fmt: skip
    """The mean of one field at `size`; channels are worked on one by one."""
    order, sign = mirrored_channels(name, skeleton)
    total = np.zeros((len(order), *size), np.float32)  # (C, h, w)
    for i, maps in enumerate((*plain, *flipped)):
        mirrored, f = i >= len(plain), fitted[i % len(plain)]
        for c, out in enumerate(total):
            channel = np.ascontiguousarray(maps[name][..., order[c] if mirrored else c])
            view = _pixels_view(f, size, mirrored, channel)
            out += sign[c] * view if mirrored else view
    total /= len(plain) + len(flipped)
    return np.moveaxis(total, 0, -1)


def _pixels_view(fitted: Fitted, size: Size, mirrored: bool, channel: np.ndarray) -> np.ndarray:
    """A map (h, w) enlarged to px of the network's input, without padding, turned back, then brought to `size`."""
    if channel.shape == tuple(side / STRIDE for side in fitted.input.shape[:2]):
        channel = channel[: fitted.padded[0] // STRIDE, : fitted.padded[1] // STRIDE]
        enlarged = _resize(channel, (channel.shape[0] * STRIDE, channel.shape[1] * STRIDE))
        top, left = fitted.origin
        content = enlarged[top : top + fitted.content[0], left : left + fitted.content[1]]
    else:  # an input of broken cells: the whole map stands for the whole image (kevinlin's method 0)
        content = _resize(channel, fitted.content)
    return _resize(content[:, ::-1] if mirrored else content, size)


def _resize(array: np.ndarray, size: Size) -> np.ndarray:
    if array.shape == tuple(size):
        return array
    return cv2.resize(np.ascontiguousarray(array), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
