"""Training samples of the built-in benchmark: a scene, one affine, its targets; the same for both frameworks."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from shared.codec.targets import encode
from shared.recipe import Recipe
from shared.scenes import dataset
from shared.scenes.generator import generate
from shared.skeleton import COCO17, skeleton


@dataclass(frozen=True, eq=False)
class Batch:
    """N samples: images (N, H, W, 3) preprocessed, heat (N, h, w, K + 1), paf (N, h, w, 2L), mask (N, h, w, 1).

    The mask is 1 where the loss counts, and 0 on crowds and on people without a single keypoint.
    """

    images: np.ndarray
    heat: np.ndarray
    paf: np.ndarray
    mask: np.ndarray


class Samples:
    """The training split under a recipe.  Sample (epoch, index) is the same on every run and in both frameworks."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.skeleton = skeleton(recipe.model)
        self.count = dataset.SPLITS["train"]

    def batches(self, first_step: int = 0) -> Iterator[Batch]:
        """Batches without end, from `first_step` on, made two ahead in threads."""
        n = self.recipe.batch
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(self.batch, range(s * n, (s + 1) * n)) for s in (first_step, first_step + 1)]
            step = first_step + 2
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(self.batch, range(step * n, (step + 1) * n)))
                step += 1

    def batch(self, positions: range) -> Batch:
        """The samples at these positions of the endless, shuffled sequence."""
        samples = [self.sample(*divmod(position, self.count)) for position in positions]
        return Batch(*(np.stack(parts) for parts in zip(*samples, strict=True)))

    def sample(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One sample: image, heat, paf, mask (see `Batch`, without N)."""
        recipe = self.recipe
        order = np.random.Generator(np.random.Philox([recipe.seed, epoch])).permutation(self.count)
        rng = np.random.Generator(np.random.Philox(key=[recipe.seed * 1_000_003 + epoch, index + 1]))
        scene = generate("train", int(order[index]))
        image, people = scene.image, scene.annotations
        matrix, mirrored = _draw_affine(rng, people, image.shape[:2], recipe)
        side = (recipe.crop, recipe.crop)
        image = cv2.warpAffine(image, matrix, side, flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
        light = rng.uniform(1 - recipe.gain, 1 + recipe.gain), rng.uniform(-recipe.offset, recipe.offset)
        image = np.clip((image.astype(np.float32) - 128) * light[0] + 128 + light[1], 0, 255)
        points = self._points(people, matrix, mirrored)
        cells = (recipe.crop // recipe.targets.stride,) * 2
        heat, paf = encode(points, self.skeleton, cells, recipe.targets)
        mask = _mask(people, scene.image.shape[:2], matrix, recipe)
        return recipe.preprocess(image), heat, paf, mask[..., None]

    def _points(self, people: Sequence[dict], matrix: np.ndarray, mirrored: bool) -> np.ndarray:
        if not people:
            return np.zeros((0, self.skeleton.n_keypoints, 3), np.float32)
        points = np.array([person["keypoints"] for person in people], np.float32).reshape(-1, 17, 3)
        points[..., :2] = points[..., :2] @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
        points = self.skeleton.convert_from(COCO17, points)
        return points[:, list(self.skeleton.flip)] if mirrored else points


def _draw_affine(
    rng: np.random.Generator, people: Sequence[dict], size: tuple[int, int], recipe: Recipe
) -> tuple[np.ndarray, bool]:
    """A 2x3 matrix from the scene to the crop (turn, scale, mirror, shift), and whether it mirrors."""
    low, high = np.log(recipe.scale)
    factor = np.exp(rng.uniform(low, high))
    angle = np.deg2rad(rng.uniform(-recipe.rotation, recipe.rotation))
    mirrored = bool(rng.random() < 0.5)
    centre = np.array([rng.uniform(0, size[1]), rng.uniform(0, size[0])])
    if people and rng.random() < 0.8:
        x, y, w, h = people[int(rng.integers(len(people)))]["bbox"]
        centre = np.array([x + w * rng.uniform(0.1, 0.9), y + h * rng.uniform(0.1, 0.9)])
    half = recipe.crop / 2 / factor
    for axis, length in ((0, size[1]), (1, size[0])):  # keep the crop on the scene where it fits
        if length > 2 * half:
            centre[axis] = np.clip(centre[axis], half, length - half)
        else:
            centre[axis] = length / 2
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    sign = -1 if mirrored else 1
    linear = np.array([[sign * cos, -sign * sin], [sin, cos]])
    return np.column_stack([linear, (recipe.crop - 1) / 2 - linear @ centre]), mirrored


def _mask(people: Sequence[dict], size: tuple[int, int], matrix: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(h, w) 1 where the loss counts; crowds and people without keypoints are 0."""
    stride = recipe.targets.stride
    mask = np.ones(size, np.uint8)
    for person in people:
        segment = person["segmentation"]
        if person["iscrowd"]:
            runs = np.asarray(segment["counts"])
            inside = np.repeat(np.arange(len(runs)) % 2, runs).reshape(segment["size"][::-1]).T
            mask[inside > 0] = 0
        elif not person["num_keypoints"]:
            polygons = [np.round(np.reshape(polygon, (-1, 2))).astype(np.int32) for polygon in segment]
            cv2.fillPoly(mask, polygons, 0)
    crop = cv2.warpAffine(mask, matrix, (recipe.crop, recipe.crop), flags=cv2.INTER_NEAREST, borderValue=1)
    cells = recipe.crop // stride
    return cv2.resize(crop.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA)
