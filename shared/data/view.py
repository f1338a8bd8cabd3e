"""A training sample as a picture: what the network sees, and what it is to answer."""

import numpy as np

from shared import draw
from shared.codec.spec import Maps
from shared.person import Pose
from shared.samples import Pipeline, Sample


def picture(sample: Sample, pipeline: Pipeline) -> np.ndarray:
    """People, heatmaps, affinity fields and mask over the crop, side by side, (H, W, 3) uint8 RGB."""
    spec = pipeline.recipe.targets
    maps = Maps(sample.heat, sample.paf, (1.0, 1.0), (0.0, 0.0), spec.stride)
    poses = [Pose((points > 0).all(axis=-1, keepdims=True) * points, 1.0) for points in sample.points]
    size = sample.image.shape[:2]
    cells = np.repeat(np.repeat(sample.mask[..., 0], spec.stride, axis=0), spec.stride, axis=1)[: size[0], : size[1]]
    masked = (sample.image * (0.25 + 0.75 * cells[..., None])).astype(np.uint8)
    views = [
        draw.draw_poses(sample.image, poses, pipeline.skeleton),
        draw.draw_heat(sample.image, maps),
        draw.draw_paf(sample.image, maps),
        masked,
    ]
    return draw.tile(views, ["people", "heatmaps", "affinity fields", "mask (dark: not counted)"])
