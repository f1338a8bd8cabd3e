"""Training samples: drawn from seed, epoch and index alone, and what is done about one that cannot be read."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from shared import augment
from shared.data.builtin import Builtin
from shared.data.source import Raw
from shared.errors import UserError
from shared.image import encoded
from shared.recipes import BUILTIN_SMALL
from shared.samples import Pipeline, describe
from shared.scenes.generator import generate
from tests.unit.drawn import Drawn, One

TINY = replace(BUILTIN_SMALL, batch=6, augment=replace(BUILTIN_SMALL.augment, crop=64))
ARRAYS = ("images", "heat", "paf", "mask")


def same(one, other) -> bool:
    return one.names == other.names and all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ARRAYS)


def test_a_sample_is_the_same_whenever_and_wherever_it_is_made():
    pipeline = Pipeline(Drawn(), TINY)
    wanted = [pipeline.batch(range(3 * i, 3 * i + 3)) for i in range(8)]

    other = Pipeline(Drawn(), TINY)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(other.batch, [range(3 * i, 3 * i + 3) for i in reversed(range(8))]))

    assert all(same(a, b) for a, b in zip(wanted, reversed(found), strict=True))
    assert not same(wanted[0], wanted[1])


@pytest.mark.parametrize("change", [{"seed": 1}, {"augment": replace(TINY.augment, rotation=11)}])
def test_another_seed_or_recipe_gives_other_samples(change):
    first = Pipeline(Drawn(), TINY).batch(range(6))

    assert not same(first, Pipeline(Drawn(), replace(TINY, **change)).batch(range(6)))


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own():
    pipeline = Pipeline(Drawn(), TINY)
    epochs = [pipeline.batch(range(10 * e, 10 * e + 10)).names for e in range(3)]

    assert all(sorted(names) == [f"picture {i}" for i in range(10)] for names in epochs)
    assert len(set(epochs)) == 3
    assert pipeline.batch(range(8, 12)).names == epochs[0][8:] + epochs[1][:2]
    twice = [np.array(pipeline.sample(e, epochs[e].index("picture 3")).image) for e in (0, 1)]
    assert not np.array_equal(*twice)  # drawn anew in every epoch


def test_a_batch_is_its_samples_preprocessed():
    pipeline = Pipeline(Drawn(), TINY)
    batch, samples = pipeline.batch(range(6)), [pipeline.sample(0, i) for i in range(6)]

    np.testing.assert_array_equal(batch.images, TINY.preprocess(np.stack([s.image for s in samples])))
    for name in ("heat", "paf", "mask"):
        np.testing.assert_array_equal(getattr(batch, name), np.stack([getattr(s, name) for s in samples]))
    shapes = {name: getattr(batch, name).shape for name in ARRAYS}
    assert shapes == {"images": (6, 64, 64, 3), "heat": (6, 8, 8, 19), "paf": (6, 8, 8, 38), "mask": (6, 8, 8, 1)}
    assert {getattr(batch, name).dtype for name in ARRAYS} == {np.dtype(np.float32)}


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_the_parts_of_a_batch_are_the_batch(parts):
    batch = Pipeline(Drawn(), TINY).batch(range(6))
    pieces = [batch.part(i, parts) for i in range(parts)]

    for name in ARRAYS:
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in pieces]), getattr(batch, name))
    assert sum((p.names for p in pieces), ()) == batch.names


def test_samples_that_cannot_be_read_are_named_and_replaced_by_the_next():
    whole, damaged = (Pipeline(Drawn(broken=broken), TINY) for broken in ((), (2, 7)))
    batch, wanted = damaged.batch(range(10)), whole.batch(range(10))

    assert sorted(batch.skipped) == ["picture 2: cut off", "picture 7: cut off"]
    assert wanted.skipped == ()
    for place, name in enumerate(wanted.names):
        if name not in ("picture 2", "picture 7"):
            assert batch.names[place] == name
            np.testing.assert_array_equal(batch.images[place], wanted.images[place])
    place = wanted.names.index("picture 2")
    following = [n for n in wanted.names[place:] + wanted.names if n not in ("picture 2", "picture 7")][0]  # noqa: RUF015
    assert batch.names[place] == following
    again = Pipeline(Drawn(broken=(2, 7)), TINY).batch(range(10))
    assert same(batch, again)
    assert batch.skipped == again.skipped


def test_a_sample_in_the_place_of_a_broken_one_is_of_the_same_epoch():
    names = Pipeline(Drawn(), TINY).batch(range(20)).names
    last = int(names[9].removeprefix("picture "))

    found = Pipeline(Drawn(broken=(last,)), TINY).batch(range(9, 10))

    assert found.names == names[:1]  # round to the first of this epoch, not on to the next


@pytest.mark.parametrize(("count", "tries"), [(3, 3), (40, 16)])
def test_nothing_but_broken_samples_is_an_error(count, tries):
    pipeline = Pipeline(Drawn(count, broken=range(count)), TINY)

    with pytest.raises(UserError, match=rf"^{tries} samples in a row cannot be read, the last: picture \d+: cut off$"):
        pipeline.batch(range(6))


def test_a_plain_sample_that_cannot_be_read_is_an_error():
    """A validation of other images is another number."""
    with pytest.raises(UserError, match="picture 2: cut off"):
        Pipeline(Drawn(broken=(2,)), TINY).plain_batch(range(4))


def test_plain_samples_have_nothing_random_in_them():
    first = Pipeline(Drawn(main=True), TINY).plain_batch(range(4))

    assert same(first, Pipeline(Drawn(main=True), replace(TINY, seed=9)).plain_batch(range(4)))
    assert first.names == tuple(f"picture {i}" for i in range(4))


def test_the_middle_of_a_scene_is_its_plain_crop():
    pipeline = Pipeline(Builtin("train", 2), TINY)
    scene = generate("train", 1).image
    top, left = ((n - 64) // 2 for n in scene.shape[:2])

    np.testing.assert_array_equal(pipeline.plain(1).image, scene[top : top + 64, left : left + 64])
    assert not np.array_equal(pipeline.plain(0).image, pipeline.plain(1).image)


def test_a_description_names_the_source_and_how_many_samples():
    assert describe(Drawn(7, broken=(3,))) == {"name": "drawn", "broken": [3], "count": 7}


def photograph(size=(700, 900)) -> Raw:
    """A JPEG of soft noise with a person who fills it."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(*size, 3)), (0, 0), 30)
    image = np.clip(127 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    points = np.zeros((1, 17, 3), np.float32)
    points[0, :, :2] = np.random.default_rng(1).uniform(50, 650, (17, 2))
    points[0, :, 2] = 2
    return Raw(encoded(data, "photograph"), points, np.array([[100, 20, 500, 660]], np.float32), None, True, "")


def test_a_reduced_jpeg_gives_the_same_sample_but_for_what_it_smooths():
    calm = replace(augment.CAFFE, crop=128, scale=(0.9, 1.1))  # about 0.12 px of the crop to one of the image
    full, reduced = (
        Pipeline(One(photograph()), replace(TINY, augment=replace(calm, decode=decode))).sample(0, 0)
        for decode in ("full", "reduced")
    )

    np.testing.assert_array_equal(reduced.points, full.points)
    for name in ("heat", "paf", "mask"):
        np.testing.assert_array_equal(getattr(reduced, name), getattr(full, name))
    difference = np.abs(reduced.image.astype(int) - full.image)
    assert 0 < difference.mean() < 1
    assert np.percentile(difference, 90) <= 2  # more only where the image ends
    assert np.abs(np.roll(full.image, 1, axis=0).astype(int) - full.image).mean() > 4 * difference.mean()


def test_an_image_that_is_damaged_inside_is_skipped_as_others_are():
    raw = photograph()
    data = bytearray(raw.picture.data)
    tables = data.index(b"\xff\xc4")
    data[tables + 5 : tables + 20] = b"\xff" * 15
    broken = replace(raw, picture=encoded(bytes(data), "photograph 7"))

    with pytest.raises(UserError, match="1 samples in a row cannot be read, the last: photograph 7: its"):
        Pipeline(One(broken), TINY).batch(range(1))
