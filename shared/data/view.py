"""A training sample as a picture: what the network sees, and what it is to answer."""

from typing import Any

import numpy as np

from shared import draw
from shared.codec.spec import Maps
from shared.person import Pose
from shared.person_samples import PersonSample
from shared.samples import Crop, Sample, Samples


def picture(sample: Crop, samples: Samples[Any]) -> np.ndarray:
    """What a sample is, side by side, (H, W, 3) uint8 RGB: people, heatmaps, and of a scene fields and mask."""
    if isinstance(sample, PersonSample):
        return _person(sample, samples)
    assert isinstance(sample, Sample)
    spec = samples.recipe.targets
    maps = Maps(sample.heat, sample.paf, (1.0, 1.0), (0.0, 0.0), spec.stride)
    poses = [Pose((points > 0).all(axis=-1, keepdims=True) * points, 1.0) for points in sample.points]
    size = sample.image.shape[:2]
    cells = np.repeat(np.repeat(sample.mask[..., 0], spec.stride, axis=0), spec.stride, axis=1)[: size[0], : size[1]]
    masked = (sample.image * (0.25 + 0.75 * cells[..., None])).astype(np.uint8)
    views = [
        draw.draw_poses(sample.image, poses, samples.skeleton),
        draw.draw_heat(sample.image, maps),
        draw.draw_paf(sample.image, maps),
        masked,
    ]
    return draw.tile(views, ["people", "heatmaps", "affinity fields", "mask (dark: not counted)"])


def _person(sample: PersonSample, samples: Samples[Any]) -> np.ndarray:
    size, cells = np.array(sample.image.shape[1::-1]), np.array(sample.heat.shape[1::-1])
    last = int(samples.recipe.heatmaps.aligned)
    to_cells = np.column_stack([np.diag((cells - last) / (size - last)), np.zeros(2)])
    person = draw.draw_poses(sample.image, [Pose(sample.points[0], 1.0)], samples.skeleton)
    return draw.tile([person, draw.draw_crops(sample.image, sample.heat[None], to_cells[None])], ["person", "heatmaps"])
