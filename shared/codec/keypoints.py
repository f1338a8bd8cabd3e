"""From the heatmaps of crops to keypoints: argmax, soft-argmax, DARK and UDP; and the flip test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from shared.codec import crops
from shared.codec.crops import CropSpec
from shared.errors import UserError, unknown

_FLOOR = -80.0  # of the exponents of a softmax: what is below e^-80 of the peak is as good as nothing, and slow
_DARK_RANGE = (1e-10, np.inf)  # of a blurred map, before its logarithm is taken
_UDP_RANGE = (1e-3, 50.0)
_UDP_RIDGE = float(np.finfo(np.float32).eps)  # added to the diagonal of the Hessian


@dataclass(frozen=True)
class KeypointSpec:
    """How a heatmap becomes a keypoint.

    `beta`: None takes the first of the highest cells, and (0, 0) where nothing is above 0; a number takes the mean cell
    under the softmax of `beta` times the map.
    `refine`: "quarter" steps a quarter of a cell towards the higher neighbour on each axis, from the nearest cell and
    if that is neither in the two first nor in the last row and column; "dark" and "udp" step to the vertex of the
    paraboloid through the logarithm of the blurred map, with differences over two cells and one; None leaves it.
    `kernel`: cells, of the blur: 11 for a sigma of 2, 17 for 3.
    `bias`: px of the image, subtracted from x and y at the end (TEST.BIAS of lpn-pytorch).
    """

    name: str
    beta: float | None = None
    refine: str | None = "quarter"
    kernel: int = 11
    bias: float = 0.0


ARGMAX = KeypointSpec("argmax")  # SimpleBaseline, HRNet with POST_PROCESS
PLAIN = KeypointSpec("argmax-plain", refine=None)
SOFTARGMAX = KeypointSpec("softargmax", beta=160.0)  # lpn-pytorch, humanpose.pytorch with SOFT_ARGMAX
SOFTARGMAX_MPII = replace(SOFTARGMAX, name="softargmax-mpii", bias=1.0)  # lpn-pytorch's configuration for MPII
DARK = KeypointSpec("dark", refine="dark")  # DarkPose; mmpose, MSRAHeatmap with unbiased
UDP = KeypointSpec("udp", refine="udp")  # UDP-Pose; mmpose, UDPHeatmap of type gaussian

KEYPOINTS = {spec.name: spec for spec in (ARGMAX, PLAIN, SOFTARGMAX, SOFTARGMAX_MPII, DARK, UDP)}


def decoder(name: str, sigma: float = 2.0) -> KeypointSpec:
    """The decoder of that name, with the blur that belongs to heatmaps of `sigma` cells."""
    if name not in KEYPOINTS:
        raise unknown("--decoder", name, KEYPOINTS)
    return replace(KEYPOINTS[name], kernel=2 * round(3 * sigma) - 1)


def decode(heat: np.ndarray, spec: KeypointSpec = ARGMAX) -> np.ndarray:
    """Keypoints (N, K, 3) float32 from heatmaps (N, h, w, K): x and y in cells, and a score.

    The score is the map's value at the highest cell; with `beta` at the cell nearest to the mean, half to even, which
    may be next to nothing where a map has two peaks.  Raises `UserError` for maps that hold NaN or infinity.
    Source: HRNet, lib/core/inference.py; lpn-pytorch, lib/models/softargmax; mmpose, mmpose/codecs/utils/refinement.py.
    """
    heat = np.ascontiguousarray(heat, np.float32)
    if not heat.size:
        return np.zeros((heat.shape[0], heat.shape[3], 3), np.float32)
    best, highest = _highest(heat)
    if spec.beta is None:
        xy, score = best * (highest > 0)[..., None], highest
    else:
        xy = _mean(heat, highest, spec.beta)
        score = _at(heat, np.rint(xy).astype(np.intp))
    if spec.refine == "quarter":
        xy = xy + _quarter(heat, xy)
    elif spec.refine is not None:
        step = _dark if spec.refine == "dark" else _udp
        xy = xy + np.where((highest > 0)[..., None], step(heat, xy, highest, spec), 0)
    return np.concatenate([xy, score[..., None]], axis=-1).astype(np.float32)


def to_image(
    points: np.ndarray,
    centres: np.ndarray,
    scales: np.ndarray,
    size: tuple[int, int],
    spec: KeypointSpec = ARGMAX,
    crop: CropSpec = crops.MSRA,
) -> np.ndarray:
    """Points (N, K, 3) in px of the images, float32, from points in cells of maps of `size` (h, w).

    `centres` and `scales` (N, 2) are the crops', `crop` is what cut them; they were not turned.
    """
    moved = crops.move(points, crops.inverse(crops.matrix(centres, scales, 0.0, size, crop)))
    moved[..., :2] -= np.float32(spec.bias)
    return moved


def merge_flipped(heat: np.ndarray, flipped: np.ndarray, flip: Sequence[int], shift: bool) -> np.ndarray:
    """The mean of heatmaps (N, h, w, K) and of those of the mirrored crops.

    `flip` is the skeleton's: for each keypoint the one that takes its place in a mirrored image.  `shift` moves the
    mirrored maps one column to the right; their first column stays (SHIFT_HEATMAP).  Crops of "msra" need it: there a
    keypoint comes back three quarters of a cell too far left, and with it a quarter too far right.  Those of "udp" come
    back where they were, without it.
    Source: HRNet, lib/core/function.py.
    """
    turned = np.take(flipped, flip, axis=-1)[:, :, ::-1]
    if shift:
        turned = np.concatenate([turned[:, :, :1], turned[:, :, :-1]], axis=2)
    return (heat + turned) * np.float32(0.5)


def _highest(heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, K, 2) x and y of the first of the highest cells in raster order, and (N, K) their values."""
    n, h, w, k = heat.shape
    place = heat.reshape(n, h * w, k).argmax(axis=1)
    xy = np.stack([place % w, place // w], axis=-1)
    highest = _at(heat, xy)
    broken = int((~np.isfinite(highest)).sum())
    if broken:
        raise UserError(
            f"{broken} of {n * k} heatmaps hold NaN or infinity; expected numbers; check the weights and the input"
        )
    return xy, highest


def _at(maps: np.ndarray, xy: np.ndarray, dx: int = 0, dy: int = 0) -> np.ndarray:
    """(N, K): each map (N, h, w, K) at its own cell xy (N, K, 2), moved by (dx, dy) and kept on the map."""
    n, h, w, k = maps.shape
    x, y = np.clip(xy[..., 0] + dx, 0, w - 1), np.clip(xy[..., 1] + dy, 0, h - 1)
    return maps[np.arange(n)[:, None], y, x, np.arange(k)]


def _mean(heat: np.ndarray, highest: np.ndarray, beta: float) -> np.ndarray:
    """(N, K, 2): the mean cell under the softmax of `beta` times the map."""
    n, h, w, k = heat.shape
    share = heat.reshape(n, h * w, k).transpose(0, 2, 1) - highest[..., None]  # (N, K, h w)
    share *= np.float32(beta)
    np.exp(np.maximum(share, np.float32(_FLOOR), out=share), out=share)
    middle = np.array([w - 1, h - 1]) / 2
    rows, columns = np.indices((h, w)).reshape(2, -1)
    grid = np.stack([np.ones(h * w), columns - middle[0], rows - middle[1]], axis=-1).astype(np.float32)
    sums = share @ grid
    return sums[..., 1:] / sums[..., :1] + middle


def _quarter(heat: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(N, K, 2): a quarter of a cell towards the higher neighbour, and 0 near the border."""
    cell = np.floor(xy + 0.5).astype(np.intp)
    slope = np.stack([_at(heat, cell, 1) - _at(heat, cell, -1), _at(heat, cell, 0, 1) - _at(heat, cell, 0, -1)], -1)
    return np.where(_inner(heat, cell, 1), 0.25 * np.sign(slope), 0)


def _inner(heat: np.ndarray, cell: np.ndarray, margin: int) -> np.ndarray:
    """(N, K, 1): whether two cells lie before x and y, and `margin` behind."""
    near = (cell <= 1) | (cell >= np.array(heat.shape[2:0:-1]) - margin)
    return ~np.asarray(near.any(axis=-1, keepdims=True))


def _dark(heat: np.ndarray, xy: np.ndarray, highest: np.ndarray, spec: KeypointSpec) -> np.ndarray:
    """(N, K, 2): DARK's step, 0 within two cells of the border."""
    maps, factor = _blurred(heat, highest, spec.kernel)
    cell = np.floor(xy + 0.5).astype(np.intp)

    def log(dx: int, dy: int) -> np.ndarray:
        return np.log(np.clip(_at(maps, cell, dx, dy) * factor, *_DARK_RANGE), dtype=np.float64)

    middle = log(0, 0)
    gradient = (log(1, 0) - log(-1, 0)) / 2, (log(0, 1) - log(0, -1)) / 2
    xx = (log(2, 0) - 2 * middle + log(-2, 0)) / 4
    yy = (log(0, 2) - 2 * middle + log(0, -2)) / 4
    xy_ = (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1)) / 4
    return np.where(_inner(heat, cell, 2), _newton(gradient, xx, xy_, yy), 0)


def _udp(heat: np.ndarray, xy: np.ndarray, highest: np.ndarray, spec: KeypointSpec) -> np.ndarray:
    """(N, K, 2): UDP's step; beyond the border the map repeats its edge."""
    maps, factor = _blurred(heat, highest, spec.kernel)
    cell = np.floor(xy + 0.5).astype(np.intp)

    def log(dx: int, dy: int) -> np.ndarray:
        return np.log(np.clip(_at(maps, cell, dx, dy) * factor, *_UDP_RANGE), dtype=np.float64)

    middle, right, left, below, above = log(0, 0), log(1, 0), log(-1, 0), log(0, 1), log(0, -1)
    gradient = (right - left) / 2, (below - above) / 2
    xx, yy = right - 2 * middle + left + _UDP_RIDGE, below - 2 * middle + above + _UDP_RIDGE
    xy_ = (log(1, 1) - right - below + 2 * middle - left - above + log(-1, -1)) / 2
    return _newton(gradient, xx, xy_, yy)


def _blurred(heat: np.ndarray, highest: np.ndarray, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    """The maps under a Gaussian of `kernel` cells, 0 outside; and what brings each back to its height (N, K)."""
    n, h, w, k = heat.shape
    weights = cv2.getGaussianKernel(kernel, 0, cv2.CV_32F)
    apart = np.zeros((n, h + kernel // 2, w, k), np.float32)  # one picture of all maps, which do not touch
    apart[:, :h] = heat
    tall = cv2.sepFilter2D(apart.reshape(-1, w, k), -1, weights, weights, borderType=cv2.BORDER_CONSTANT)
    maps = tall.reshape(apart.shape)[:, :h]
    top = maps.max(axis=1).max(axis=1)
    return maps, np.divide(highest, top, out=np.zeros_like(top), where=top > 0)


def _newton(gradient: tuple[np.ndarray, np.ndarray], xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """(N, K, 2): minus the inverse Hessian times the gradient; 0 where there is no inverse."""
    x, y = gradient
    determinant = xx * yy - xy * xy
    step = np.stack([xy * y - yy * x, xy * x - xx * y], axis=-1)
    return np.divide(step, determinant[..., None], out=np.zeros_like(step), where=determinant[..., None] != 0)
