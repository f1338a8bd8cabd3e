"""What a top-down network learns: one Gaussian a keypoint, in the map of its crop."""

from dataclasses import dataclass

import numpy as np

from shared.errors import UserError

_REACH = 3  # sigma: how far a window goes, and how far outside a map its keypoint may be
COCO_JOINT_WEIGHTS = (1, 1, 1, 1, 1, 1, 1, 1.2, 1.2, 1.5, 1.5, 1, 1, 1.2, 1.2, 1.5, 1.5)  # in the order of COCO17
_SIGMAS = {(384, 288): 3.0}  # cells, by the size (height, width) of the crop, where it is not 2


@dataclass(frozen=True)
class HeatmapSpec:
    """How keypoints are drawn.  `sigma` is in cells; `stride` px of the crop are a cell.

    `rounded`: the Gaussian is centred on the nearest cell (MSRA); False: on the keypoint itself, between cells.
    `window`: cells farther than 3 sigma, on an axis, from the nearest cell stay 0; False: the whole map is drawn.
    `aligned`: the first and the last cell lie on the first and the last px of the crop (UDP); False: cell g lies on px
    `stride` g.
    `joint_weights`: K factors of the weights (`COCO_JOINT_WEIGHTS`: USE_DIFFERENT_JOINTS_WEIGHT, which no published
    configuration turns on), None for 1.
    """

    name: str
    sigma: float = 2.0
    stride: int = 4
    rounded: bool = False
    window: bool = True
    aligned: bool = False
    joint_weights: tuple[float, ...] | None = None


MSRA = HeatmapSpec("msra", rounded=True)  # SimpleBaseline, HRNet, humanpose.pytorch, lpn-pytorch
DARK = HeatmapSpec("dark", window=False)  # DarkPose; mmpose, MSRAHeatmap with unbiased
UDP = HeatmapSpec("udp", aligned=True)  # UDP-Pose; mmpose, UDPHeatmap of type gaussian

HEATMAPS = {spec.name: spec for spec in (MSRA, DARK, UDP)}


def published_sigma(size: tuple[int, int]) -> float:
    """Cells: 3 for crops of 384x288, else 2."""
    return _SIGMAS.get((size[0], size[1]), 2.0)


def map_size(size: tuple[int, int], spec: HeatmapSpec = MSRA) -> tuple[int, int]:
    """(h, w) of the map of a crop (height, width); a `UserError` where the crop is not whole cells."""
    if size[0] % spec.stride or size[1] % spec.stride:
        raise UserError(
            f"a crop of {size[0]}x{size[1]} px (height x width); expected multiples of {spec.stride}, the stride"
        )
    return size[0] // spec.stride, size[1] // spec.stride


def encode(points: np.ndarray, size: tuple[int, int], spec: HeatmapSpec = MSRA) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps (N, h, w, K) and their weights in the loss (N, K), float32, of points (N, K, 3) in px of the crops.

    `size` is the crops' (height, width).  A keypoint counts where its third column is above 0, whatever the value; it
    has weight 0 and an empty map where it does not, and where it is more than 3 sigma out of the map.
    As published, rounding to the nearest cell is towards zero (px -3.9 is in cell 0), and a keypoint whose window ends
    one cell before the map has weight 1 and an empty map.
    Source: HRNet, lib/dataset/JointsDataset.py; mmpose, mmpose/codecs/utils/gaussian_heatmap.py.
    """
    h, w = map_size(size, spec)
    known = (points[..., 2] > 0) & np.isfinite(points[..., :2]).all(axis=-1)
    cells = np.where(known[..., None], points[..., :2], 0) / _steps(size, spec)
    nearest = np.trunc(cells + 0.5)
    middle = nearest if spec.window else cells  # that of the window, whether or not it is drawn
    reach = int(_REACH * spec.sigma)
    drawn = known & ((middle - reach < (w, h)) & (middle + reach + 1 >= 0)).all(axis=-1)
    centres = nearest if spec.rounded else cells
    columns, rows = (
        _bumps(length, centres[..., axis], nearest[..., axis], drawn, spec) for axis, length in enumerate((w, h))
    )
    weight = drawn.astype(np.float32)
    if spec.joint_weights is not None:
        weight *= np.array(spec.joint_weights, np.float32)
    return rows[:, :, None] * columns[:, None], weight


def _steps(size: tuple[int, int], spec: HeatmapSpec) -> np.ndarray:
    """(x, y): px of the crop from one cell to the next."""
    if not spec.aligned:
        return np.full(2, spec.stride, np.float64)
    return (np.array(size[::-1]) - 1) / (np.array(map_size(size, spec)[::-1]) - 1)


def _bumps(length: int, centres: np.ndarray, nearest: np.ndarray, drawn: np.ndarray, spec: HeatmapSpec) -> np.ndarray:
    """(N, length, K) float32: the Gaussians along one axis; that of the map is the product of both."""
    cells = np.arange(length)[:, None]
    bumps = np.exp(-((cells - centres[:, None]) ** 2) / (2 * spec.sigma**2))
    inside = np.broadcast_to(drawn[:, None], bumps.shape)
    if spec.window:
        inside = inside & (np.abs(cells - nearest[:, None]) <= int(_REACH * spec.sigma))
    return np.where(inside, bumps, 0).astype(np.float32)
