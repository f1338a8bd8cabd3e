"""Training samples of one person each: a box, one affine, a heatmap for each keypoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from shared import augment_person
from shared.augment_person import PLAIN, Draw
from shared.codec import crops, heatmaps
from shared.data.source import Raw, Source
from shared.errors import UserError
from shared.samples import Batch, Crop, Samples
from shared.skeleton import COCO17

_HALF_PADDING = 1.5  # of the box of half a body
_TRIES = 16  # scenes in a row without anybody


@dataclass(frozen=True, eq=False)
class PersonSample(Crop):
    """A crop of one person with its heatmaps (h, w, K) float32."""

    heat: np.ndarray


class PersonSamples(Samples[Crop]):
    """The main person of each sample of the source, or one after the other of all where there is no main one.

    COCO's boxes are clipped to the image as published, MPII's are as they are.  A scene without anybody gives way to
    the next one.
    """

    @property
    def per_image(self) -> int:  # type: ignore[override]
        return self.recipe.per_image

    def sample(self, epoch: int, index: int) -> PersonSample:
        return self._sample(self._crop(epoch, index))

    def plain(self, index: int) -> PersonSample:
        return self._sample(self._plain_crop(index))

    def _sample(self, crop: Crop) -> PersonSample:
        return PersonSample(crop.image, crop.points, crop.name, self._heat([crop])[0][0])

    def _learns(self) -> bool:
        return self.skeleton == self.source.skeleton

    def _random_crop(self, number: int, turn: int, rng: np.random.Generator) -> Crop:
        raw, people = self._somebody(number)
        person = int(people[(number + turn) % len(people)])
        known = raw.points[person, :, 2] > 0
        return self._cut(raw, person, augment_person.draw(rng, known, self.skeleton, self.recipe.person))

    def _plain_crop(self, number: int) -> Crop:
        raw, people = self._somebody(number)
        return self._cut(raw, int(people[number % len(people)]), PLAIN)

    def _somebody(self, number: int) -> tuple[Raw, np.ndarray]:
        """The sample, or the next one with people; and who of them may be cut out."""
        for further in range(_TRIES):
            raw = _read(self.source, (number + further) % len(self.source))
            _, usable = self._boxes(raw)
            people = np.flatnonzero(usable & (raw.points[..., 2] > 0).any(axis=-1))
            if raw.main:
                people = people[people == 0]
            if len(people):
                return raw, people
        raise UserError(f"{raw.name}: nobody in it nor in the {_TRIES - 1} before it; expected people with keypoints")

    def _boxes(self, raw: Raw) -> tuple[np.ndarray, np.ndarray]:
        """Of everybody (P, 4), and which can be used (P,)."""
        if self.source.skeleton == COCO17:
            return crops.clean_box(raw.boxes, raw.size)
        return raw.boxes, np.asarray((raw.boxes[:, 2:] > 0).all(axis=1))

    def _cut(self, raw: Raw, person: int, draw: Draw) -> Crop:
        size, spec, points = self.recipe.spec.size, self.recipe.crops, raw.points[person]
        box = self._boxes(raw)[0][person]
        if draw.half is not None:
            box, spec = np.array(augment_person.half_box(points[draw.half, :2])), replace(spec, padding=_HALF_PADDING)
        centre, scale = crops.from_boxes(box, size, spec)
        mirror = np.eye(2, 3)
        if draw.mirrored:
            last = raw.size[1] - 1
            mirror[0], centre[0] = (-1, 0, last), last - centre[0]
        affine = crops.matrix(centre, scale * np.float32(draw.factor), draw.degrees, size, spec)
        affine = affine @ np.vstack([mirror, (0, 0, 1)])
        moved = np.where(points[:, 2:] > 0, crops.move(points, affine), 0).astype(np.float32)
        if draw.mirrored:
            moved = moved[list(self.skeleton.flip)]
        return Crop(crops.warp(raw.image, affine, size), moved[None], raw.name)

    def _heat(self, made: Sequence[Crop]) -> tuple[np.ndarray, np.ndarray]:
        points = np.concatenate([crop.points for crop in made])
        return heatmaps.encode(points, self.recipe.spec.size, self.recipe.heatmaps)

    def _batch(self, made: Sequence[Crop], skipped: Sequence[str]) -> Batch:
        heat, weight = self._heat(made)
        nothing = np.zeros((*heat.shape[:3], 0), np.float32)
        names = tuple(crop.name for crop in made)
        return Batch(self._images(made), heat, nothing, weight[:, None, None], names, tuple(skipped))


@lru_cache(maxsize=4)
def _read(source: Source, index: int) -> Raw:
    """A sample that stays for the next crops of it, in each of the threads."""
    return source[index]
