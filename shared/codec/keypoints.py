"""From the heatmaps of crops to keypoints: argmax, soft-argmax, DARK and UDP; and the flip test."""

from collections.abc import Callable, Sequence
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
_Log = Callable[[int, int], np.ndarray]  # (dx, dy) -> (N, K), a map's logarithm so many cells from the middle
_Differences = tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray, np.ndarray]  # gradient; xx, xy, yy


@dataclass(frozen=True)
class KeypointSpec:
    """How a heatmap becomes a keypoint.

    `beta`: None takes the first of the highest cells, and (0, 0) where nothing is above 0; a number takes the mean cell
    under the softmax of `beta` times the map.
    `refine`: "quarter" steps a quarter of a cell towards the higher neighbour on each axis, from the nearest cell and
    if that is neither in the two first nor in the last row and column; "dark" and "udp" step to the vertex of the
    paraboloid through the logarithm of the blurred map, with differences over two cells and one; None leaves it.
    As published, beyond the border the blur finds 0, "udp" the edge again, and "dark" takes no step there.
    "dark-border" and "udp-border" use cells of the map only: where the blur would take others, the paraboloid is the
    one that fits best, and a keypoint is at most a cell outside.
    `kernel`: cells, of the blur: 11 for a sigma of 2, 17 for 3.
    `bias`: px of the image, subtracted from x and y at the end (TEST.BIAS of lpn-pytorch).
    """

    name: str
    beta: float | None = None
    refine: str | None = "quarter"
    kernel: int = 11
    bias: float = 0.0

    @property
    def udp(self) -> bool:
        """Whether it reads the heatmaps of crops that are cut by the rule "udp"."""
        return self.refine in ("udp", "udp-border")


ARGMAX = KeypointSpec("argmax")  # SimpleBaseline, HRNet with POST_PROCESS
PLAIN = KeypointSpec("argmax-plain", refine=None)
SOFTARGMAX = KeypointSpec("softargmax", beta=160.0)  # lpn-pytorch, humanpose.pytorch with SOFT_ARGMAX
SOFTARGMAX_MPII = replace(SOFTARGMAX, name="softargmax-mpii", bias=1.0)  # lpn-pytorch's configuration for MPII
DARK = KeypointSpec("dark", refine="dark")  # DarkPose; mmpose, MSRAHeatmap with unbiased
UDP = KeypointSpec("udp", refine="udp")  # UDP-Pose; mmpose, UDPHeatmap of type gaussian
DARK_BORDER = KeypointSpec("dark-border", refine="dark-border")  # ours, as the next: right up to the border
UDP_BORDER = KeypointSpec("udp-border", refine="udp-border")

KEYPOINTS = {
    spec.name: spec for spec in (ARGMAX, PLAIN, SOFTARGMAX, SOFTARGMAX_MPII, DARK, UDP, DARK_BORDER, UDP_BORDER)
}


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
        xy = xy + np.where((highest > 0)[..., None], _to_vertex(heat, xy, highest, spec), 0)
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


def _to_vertex(heat: np.ndarray, xy: np.ndarray, highest: np.ndarray, spec: KeypointSpec) -> np.ndarray:
    """(N, K, 2): the step of DARK or UDP."""
    differences, reach, limits = (_udp, 1, _UDP_RANGE) if spec.udp else (_dark, 2, _DARK_RANGE)
    maps, factor = _blurred(heat, highest, spec.kernel)
    cell = np.floor(xy + 0.5).astype(np.intp)

    def log(dx: int, dy: int) -> np.ndarray:
        return np.log(np.clip(_at(maps, cell, dx, dy) * factor, *limits), dtype=np.float64)

    step = _newton(*differences(log))
    if spec.refine in (DARK_BORDER.refine, UDP_BORDER.refine):
        margin = reach + spec.kernel // 2
        near = np.asarray(((cell < margin) | (cell >= np.array(heat.shape[2:0:-1]) - margin)).any(axis=-1))
        found = cell[near] + _fitted(heat, cell, near, spec.kernel)
        step[near] = np.clip(found, -1, heat.shape[2:0:-1]) - cell[near]
        return step
    return step if spec.udp else np.where(_inner(heat, cell, 2), step, 0)


def _fitted(heat: np.ndarray, cell: np.ndarray, chosen: np.ndarray, kernel: int) -> np.ndarray:
    """(M, 2): from the chosen cells to the vertex of the paraboloid that fits the logarithm of the map around them.

    Least squares over those cells of the map that a blur of `kernel` cells would take, each weighted by the square of
    its value: so much surer is its logarithm.  0 where the vertex is no maximum, or farther away than sigma.
    Source: Guo, A simple algorithm for fitting a Gaussian function, IEEE Signal Processing Magazine 28 (2011).
    """
    reach, sigma = kernel // 2, (kernel + 1) / 6
    dy, dx = (offsets.ravel() for offsets in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    n, k = np.nonzero(chosen)
    x, y = (cell[chosen][:, axis, None] + offsets for axis, offsets in enumerate((dx, dy)))
    inside = (x >= 0) & (x < heat.shape[2]) & (y >= 0) & (y < heat.shape[1])
    x, y = np.clip(x, 0, heat.shape[2] - 1), np.clip(y, 0, heat.shape[1] - 1)
    values = np.maximum(np.float64(heat[n[:, None], y, x, k[:, None]]), _DARK_RANGE[0])
    values /= values.max(axis=1, keepdims=True, initial=_DARK_RANGE[0])
    terms = np.stack([np.ones_like(dx), dx, dy, dx * dx / 2, dx * dy, dy * dy / 2], axis=-1)  # (cells, 6)
    weighted = (values**2 * inside)[..., None] * terms
    normal = np.swapaxes(weighted, 1, 2) @ terms
    found = np.linalg.pinv(normal, hermitian=True) @ (np.swapaxes(weighted, 1, 2) @ np.log(values)[..., None])
    _, gx, gy, xx, xy, yy = np.moveaxis(found[..., 0], -1, 0)
    step = _newton((gx, gy), xx, xy, yy)
    right = (xx < 0) & (xx * yy > xy * xy) & (np.abs(step).max(axis=-1, initial=0) <= sigma)
    return np.where(right[:, None], step, 0)


def _dark(log: _Log) -> _Differences:
    """Over two cells."""
    middle = log(0, 0)
    gradient = (log(1, 0) - log(-1, 0)) / 2, (log(0, 1) - log(0, -1)) / 2
    xx = (log(2, 0) - 2 * middle + log(-2, 0)) / 4
    yy = (log(0, 2) - 2 * middle + log(0, -2)) / 4
    xy = (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1)) / 4
    return gradient, xx, xy, yy


def _udp(log: _Log) -> _Differences:
    """Over one cell."""
    middle, right, left, below, above = log(0, 0), log(1, 0), log(-1, 0), log(0, 1), log(0, -1)
    gradient = (right - left) / 2, (below - above) / 2
    xx, yy = right - 2 * middle + left + _UDP_RIDGE, below - 2 * middle + above + _UDP_RIDGE
    xy = (log(1, 1) - right - below + 2 * middle - left - above + log(-1, -1)) / 2
    return gradient, xx, xy, yy


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
