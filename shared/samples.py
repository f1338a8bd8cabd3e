"""Training samples: an annotated image, one affine, its targets; the same in both frameworks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np

from shared import augment
from shared.arch import catalogue
from shared.augment import Affine
from shared.codec.targets import encode_batch
from shared.data import rules
from shared.data.source import Raw, Source
from shared.errors import UserError
from shared.recipe import Recipe
from shared.skeleton import COCO17, skeleton

_MOST_IN_A_ROW = 16


@dataclass(frozen=True, eq=False)
class Crop:
    """A sample before its targets are drawn: image (H, W, 3) uint8 RGB, and people (P, K, 3) in its px.

    `points` are of the network's skeleton.
    """

    image: np.ndarray
    points: np.ndarray
    name: str


@dataclass(frozen=True, eq=False)
class Window(Crop):
    """A crop of a scene; `mask` (h, w, 1) float32 is 1 where the loss counts."""

    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample(Window):
    """A window with its targets: heat (h, w, K + 1), paf (h, w, 2L), float32."""

    heat: np.ndarray
    paf: np.ndarray


@dataclass(frozen=True, eq=False)
class Batch:
    """N samples: images (N, H, W, 3) preprocessed, heat (N, h, w, K + 1), paf (N, h, w, 2L), mask (N, h, w, 1).

    For networks of one person heat is (N, h, w, K), paf has no channels, and mask (N, 1, 1, K) weighs the keypoints.
    `skipped` are the samples that could not be read, as "name: reason"; others stand in their place.
    """

    images: np.ndarray
    heat: np.ndarray
    paf: np.ndarray
    mask: np.ndarray
    names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def part(self, part: int, parts: int) -> "Batch":
        """Part number `part` of `parts` equal ones."""
        n = len(self.images) // parts
        piece = slice(part * n, (part + 1) * n)
        arrays = (self.images[piece], self.heat[piece], self.paf[piece], self.mask[piece])
        return Batch(*arrays, self.names[piece])


C = TypeVar("C", bound=Crop)


class Samples(ABC, Generic[C]):
    """A source under a recipe.  Sample (epoch, index) depends on nothing else than these and the recipe's seed.

    An epoch is a shuffle of the source with `per_image` crops of each of its samples in a row.
    """

    per_image = 1

    def __init__(self, source: Source, recipe: Recipe) -> None:
        self.source = source
        self.recipe = recipe
        self.skeleton = skeleton(recipe.spec.skeleton)
        sources = self.skeleton.sources(source.skeleton)
        absent = [name for name, found in zip(self.skeleton.keypoints, sources, strict=True) if not found]
        if absent or not self._learns():
            raise UserError(
                f"recipe: model {recipe.model} learns {self.skeleton.name}, but the data is {source.skeleton.name}"
                f"{' without ' + absent[0] if absent else ''}; choose a model whose keypoints the data has"
            )

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, positions: range) -> Batch:
        """The samples at these positions of the endless sequence of epochs."""
        skipped: list[str] = []
        return self._batch([self._readable(position, skipped) for position in positions], skipped)

    @abstractmethod
    def sample(self, epoch: int, index: int) -> Crop:
        """Sample number `index` of an epoch, augmented.  Raises `UserError` if its image cannot be read."""

    @abstractmethod
    def plain(self, index: int) -> Crop:
        """Sample `index` of the source without anything random."""

    def plain_batch(self, indices: range) -> Batch:
        """A batch of samples of the source without anything random, for the validation loss."""
        return self._batch([self._plain_crop(i) for i in indices], [])

    def _crop(self, epoch: int, index: int) -> C:
        seed = self.recipe.seed
        rng = np.random.Generator(np.random.Philox(key=[seed * 1_000_003 + epoch, index + 1]))
        place, turn = divmod(index, self.per_image)
        number = int(_order(seed, epoch, len(self.source))[place])
        return self._random_crop(number, epoch * self.per_image + turn, rng)

    @abstractmethod
    def _learns(self) -> bool:
        """Whether the skeleton is one that these samples can teach."""

    @abstractmethod
    def _random_crop(self, number: int, turn: int, rng: np.random.Generator) -> C:
        """An augmented crop of sample `number` of the source, of which `turn` were cut before, in all epochs.

        Raises `UserError` if its image cannot be read.
        """

    @abstractmethod
    def _plain_crop(self, number: int) -> C:
        """The crop of that sample without anything random."""

    @abstractmethod
    def _batch(self, made: Sequence[C], skipped: Sequence[str]) -> Batch:
        """The crops as a batch, with their targets."""

    def _images(self, crops: Sequence[C]) -> np.ndarray:
        images = np.empty((len(crops), *crops[0].image.shape), np.float32)
        for crop, place in zip(crops, images, strict=True):
            self.recipe.preprocess.into(crop.image, place)
        return images

    def _readable(self, position: int, skipped: list[str]) -> C:
        """The sample at a position, or the next one that can be read; what cannot is named in `skipped`."""
        count = len(self.source) * self.per_image
        epoch, index = divmod(position, count)
        tries = min(len(self.source), _MOST_IN_A_ROW)
        for further in range(tries):
            try:
                return self._crop(epoch, (index + further * self.per_image) % count)
            except UserError as error:
                skipped.append(str(error))
        raise UserError(f"{tries} samples in a row cannot be read, the last: {skipped[-1]}")


class Pipeline(Samples[Window]):
    """Samples of whole scenes: a window of an image, with everybody in it."""

    def sample(self, epoch: int, index: int) -> Sample:
        return self._sample(self._crop(epoch, index))

    def plain(self, index: int) -> Sample:
        return self._sample(self._plain_crop(index))

    def _learns(self) -> bool:
        return bool(self.skeleton.limbs)

    def _random_crop(self, number: int, turn: int, rng: np.random.Generator) -> Window:
        raw, spec = self.source[number], self.recipe.augment
        affine = augment.draw(rng, raw.size, raw.boxes, raw.main, spec)
        return self._finish(raw, affine, augment.colour(rng, self._warped(raw, affine), spec))

    def _plain_crop(self, number: int) -> Window:
        raw = self.source[number]
        affine = augment.plain(raw.size, raw.boxes, raw.main, self.recipe.augment)
        return self._finish(raw, affine, self._warped(raw, affine))

    def _warped(self, raw: Raw, affine: Affine) -> np.ndarray:
        image, reduction = raw.reduced(augment.most_reduced(affine, self.recipe.augment))
        return augment.warp_image(image, affine, self.recipe.augment, reduction)

    def _finish(self, raw: Raw, affine: Affine, image: np.ndarray) -> Window:
        mask = augment.warp_mask(raw.mask, affine, self.recipe.augment, self.recipe.targets.stride)
        return Window(image, self._points(raw, affine), raw.name, mask)

    def _targets(self, crops: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
        cells = (self.recipe.augment.crop // self.recipe.targets.stride,) * 2
        return encode_batch([crop.points for crop in crops], self.skeleton, cells, self.recipe.targets)

    def _sample(self, crop: Window) -> Sample:
        heat, paf = self._targets([crop])
        return Sample(crop.image, crop.points, crop.name, crop.mask, heat[0], paf[0])

    def _batch(self, made: Sequence[Window], skipped: Sequence[str]) -> Batch:
        mask = np.stack([crop.mask for crop in made])
        names = tuple(crop.name for crop in made)
        return Batch(self._images(made), *self._targets(made), mask, names, tuple(skipped))

    def _points(self, raw: Raw, affine: Affine) -> np.ndarray:
        """(P, K, 3) of the network's skeleton in px of the crop."""
        spec = self.recipe.augment
        shifted = raw.points.astype(np.float32)
        if spec.joint_shift:
            shifted[..., :2] += spec.joint_shift
            inside = ((shifted[..., :2] >= 0) & (shifted[..., :2] < raw.size[::-1])).all(axis=-1)
            shifted[~inside] = 0
        points = self.skeleton.convert_from(self.source.skeleton, shifted)
        if self.source.skeleton == COCO17 and "neck" in self.skeleton.keypoints:
            rule = rules.NECK[self.recipe.neck]
            points[:, self.skeleton.index("neck")] = rules.neck(shifted, rule, raw.size)
        points = affine.points(points)
        if affine.mirrored:
            points = points[:, list(self.skeleton.flip)]
        if spec.outside == "drop":
            inside = ((points[..., :2] >= 0) & (points[..., :2] < spec.crop)).all(axis=-1)
            points[~inside] = 0
        return points


def pipeline(source: Source, recipe: Recipe) -> Samples[Any]:
    """The samples that the recipe's network learns from: whole scenes, or single people."""
    if catalogue.top_down(recipe.spec):
        from shared.person_samples import PersonSamples

        return PersonSamples(source, recipe)
    return Pipeline(source, recipe)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox([seed, epoch])).permutation(count)


def describe(source: Source) -> Mapping[str, object]:
    """What a run's samples depend on, for its log and its checkpoints."""
    return {**source.identity(), "count": len(source)}
