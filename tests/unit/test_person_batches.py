"""Batches of samples of one person: drawn from seed, epoch and index alone, and what is read for them."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from shared import augment_person
from shared.data.source import Raw
from shared.errors import UserError
from shared.loader import batches
from shared.person_samples import PersonSamples
from shared.preprocess import Preprocess
from shared.recipe import Recipe
from shared.recipes import HRNET_BUILTIN
from shared.samples import Pipeline, pipeline
from tests.unit.drawn import Drawn

TINY = replace(HRNET_BUILTIN, batch=6, per_image=1, person=replace(augment_person.COCO, rotation=40.0, rotated=1.0))
ARRAYS = ("images", "heat", "paf", "mask")


def same(one, other) -> bool:
    return one.names == other.names and all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ARRAYS)


def test_a_batch_is_arrays_of_the_networks_layout():
    raw_values = replace(TINY, preprocess=Preprocess("rgb", 1.0))
    samples = PersonSamples(Drawn(), raw_values)
    batch = samples.batch(range(6))

    shapes = {name: getattr(batch, name).shape for name in ARRAYS}
    assert shapes == {
        "images": (6, 128, 96, 3), "heat": (6, 32, 24, 17), "paf": (6, 32, 24, 0), "mask": (6, 1, 1, 17)
    }  # fmt: skip
    assert {getattr(batch, name).dtype for name in ARRAYS} == {np.dtype(np.float32)}
    for place in range(6):
        np.testing.assert_array_equal(batch.images[place], samples._crop(0, place).image)
    for name in ARRAYS:
        pieces = [getattr(batch.part(i, 3), name) for i in range(3)]
        np.testing.assert_array_equal(np.concatenate(pieces), getattr(batch, name))


def test_a_sample_is_decided_by_seed_epoch_and_index():
    wanted = PersonSamples(Drawn(), TINY).batch(range(20))
    again = [PersonSamples(Drawn(), TINY).batch(range(i, i + 5)) for i in range(0, 20, 5)]

    for name in ARRAYS:
        np.testing.assert_array_equal(np.concatenate([getattr(b, name) for b in again]), getattr(wanted, name))
    assert not np.array_equal(wanted.images[:10], wanted.images[10:])  # another epoch
    assert not same(wanted, PersonSamples(Drawn(), replace(TINY, seed=1)).batch(range(20)))
    assert not same(wanted, PersonSamples(Drawn(), replace(TINY, person=augment_person.SIMPLE)).batch(range(20)))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_number_of_workers_decides_nothing(workers):
    samples = PersonSamples(Drawn(broken=(4,)), TINY)
    supply = batches(samples, 1, workers=workers)
    found = list(islice(supply, 3))
    supply.close()

    assert all(same(batch, samples.batch(range(6 * s, 6 * s + 6))) for s, batch in enumerate(found, start=1))
    assert any(batch.skipped for batch in found)


def test_a_scene_without_anybody_gives_way_to_the_next():
    samples = PersonSamples(Drawn(), TINY)  # pictures 2, 5 and 8 have nobody

    assert samples.plain_batch(range(6)).names == tuple(f"picture {i}" for i in (0, 1, 3, 3, 4, 6))
    names = samples.batch(range(10)).names
    assert sorted(names) == sorted(f"picture {i}" for i in (0, 1, 3, 3, 4, 6, 6, 7, 9, 9))


def test_plain_samples_have_nothing_random_in_them():
    first = PersonSamples(Drawn(), TINY).plain_batch(range(5))

    assert same(first, PersonSamples(Drawn(), replace(TINY, seed=9, person=augment_person.MPII)).plain_batch(range(5)))
    assert not same(first, PersonSamples(Drawn(), TINY).plain_batch(range(1, 6)))


def test_the_recipes_network_decides_what_a_sample_is():
    assert isinstance(pipeline(Drawn(), TINY), PersonSamples)
    assert isinstance(pipeline(Drawn(), Recipe()), Pipeline)
    with pytest.raises(UserError, match=r"pose_hrnet_w18_v1 learns mpii16, but the data is coco17 without pelvis"):
        pipeline(Drawn(), replace(TINY, skeleton="mpii16"))


def test_an_image_is_read_once_for_its_crops():
    class Counted(Drawn):
        read = 0

        def __getitem__(self, index: int) -> Raw:
            Counted.read += 1
            return super().__getitem__(index)

    made = PersonSamples(Counted(main=True), replace(TINY, per_image=3)).batch(range(12))

    assert len(set(made.names)) == 4 == Counted.read
    assert list(made.names) == [made.names[i - i % 3] for i in range(12)]
    assert made.skipped == ()


def test_of_an_image_that_cannot_be_read_the_next_one_stands_in():
    samples = PersonSamples(Drawn(broken=(0,), main=True), replace(TINY, per_image=2))

    made = samples.batch(range(20))

    assert "picture 0" not in made.names
    assert made.skipped == ("picture 0: cut off",) * 2
    assert sorted(made.names)[::2] == sorted(made.names)[1::2]
