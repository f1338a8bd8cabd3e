"""Training samples: drawn from seed, epoch and index alone, with targets where the image shows them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from shared import augment
from shared.codec import targets
from shared.data.builtin import Builtin
from shared.data.source import Raw
from shared.errors import UserError
from shared.image import encoded
from shared.recipe import Recipe
from shared.recipes import BUILTIN_SMALL
from shared.samples import Pipeline, describe
from shared.scenes.generator import generate
from shared.skeleton import COCO17, COCO18, MPI15, MPII16
from tests.unit.drawn import Drawn, One

TINY = replace(BUILTIN_SMALL, batch=6, augment=replace(BUILTIN_SMALL.augment, crop=64))
STILL = replace(  # plain crops of 64 x 64 images are the images
    TINY, augment=augment.Augment(crop=64, follow="anywhere", scale=(1, 1), rotation=0, flip=0), neck="paper"
)
ARRAYS = ("images", "heat", "paf", "mask")


def same(one, other) -> bool:
    return one.names == other.names and all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ARRAYS)


def one(points=(), size=(64, 64), image=None, mask=None, recipe: Recipe = STILL, skeleton=COCO17) -> Pipeline:
    """A pipeline of one sample, of people given as {keypoint: (x, y, v)}."""
    people = np.zeros((len(points), skeleton.n_keypoints, 3), np.float32)
    for person, values in zip(people, points, strict=True):
        for name, value in values.items():
            person[skeleton.index(name)] = value
    boxes = np.tile(np.array([10, 10, 40, 40], np.float32), (len(points), 1))
    image = np.zeros((*size, 3), np.uint8) if image is None else image
    return Pipeline(One(Raw(image, people, boxes, mask, False, "one"), skeleton), recipe)


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


@pytest.mark.parametrize("name", augment.AUGMENTS)
def test_the_image_and_the_targets_show_a_keypoint_at_the_same_place(name):
    """A white spot on black: its middle is where the point is, and the heatmap's peak is in the cell around it."""
    spec = replace(augment.AUGMENTS[name], gain=0, offset=0, jitter=0, jpeg=0, grey=0, border=(0, 0, 0), joint_shift=0)
    recipe = replace(TINY, augment=replace(spec, crop=128, target=0.5))
    y, x = np.mgrid[:120, :150]
    spot = np.rint(255 * np.exp(-((x - 70) ** 2 + (y - 60) ** 2) / 18)).astype(np.uint8)
    person = np.zeros((1, 17, 3), np.float32)
    person[0, COCO17.index("left_wrist")] = (70, 60, 2)
    raw = Raw(np.repeat(spot[..., None], 3, axis=-1), person, np.array([[50, 30, 40, 60]], np.float32), None, True, "")
    seen = set()
    for epoch in range(30):
        sample = Pipeline(One(raw), recipe).sample(epoch, 0)
        (k,) = np.flatnonzero(sample.points[0, :, 2])
        px, py = sample.points[0, k, :2]
        if not (12 < px < 115 and 12 < py < 115):
            continue
        weights = sample.image[..., 0].astype(float)
        weights[weights < 8] = 0  # what is rounded
        middle = [(weights.sum(axis=axis) @ np.arange(128)) / weights.sum() for axis in (0, 1)]
        np.testing.assert_allclose(middle, (px, py), atol=1.1 if spec.mirror == "edge" else 0.1)
        row, column = np.unravel_index(sample.heat[..., k].argmax(), sample.heat.shape[:2])
        assert abs(8 * column + 3.5 - px) <= 4.01
        assert abs(8 * row + 3.5 - py) <= 4.01
        seen.add(COCO18.keypoints[k])
    assert seen == {"left_wrist", "right_wrist"}  # mirrored, and not


def test_a_mirrored_person_has_left_and_right_swapped():
    person = {"left_wrist": (10, 20, 2), "right_knee": (30, 40, 1), "nose": (31, 8, 2)}
    straight, mirrored = (
        one([person], recipe=replace(STILL, augment=replace(STILL.augment, flip=flip))).sample(0, 0).points[0]
        for flip in (0.0, 1.0)
    )

    assert straight[COCO18.index("left_wrist")].tolist() == [10, 20, 2]
    assert mirrored[COCO18.index("right_wrist")].tolist() == [53, 20, 2]
    assert mirrored[COCO18.index("left_knee")].tolist() == [33, 40, 1]
    assert mirrored[COCO18.index("nose")].tolist() == [32, 8, 2]
    assert (mirrored[:, 2] > 0).sum() == (straight[:, 2] > 0).sum() == 3


def test_keypoints_out_of_the_crop_leak_in_or_are_dropped():
    person = {"nose": (-3, 20, 2), "left_wrist": (64, 20, 2), "right_wrist": (63.9, 0, 2), "left_ankle": (0, 64.1, 1)}
    kept, dropped = (
        one([person], recipe=replace(STILL, augment=replace(STILL.augment, outside=outside))).plain(0)
        for outside in ("keep", "drop")
    )

    names = [[COCO18.keypoints[k] for k in np.flatnonzero(s.points[0, :, 2])] for s in (kept, dropped)]
    assert sorted(names[0]) == ["left_ankle", "left_wrist", "nose", "right_wrist"]
    assert names[1] == ["right_wrist"]
    assert kept.heat[2, 0, COCO18.index("nose")] > 0.4
    assert dropped.heat[..., COCO18.index("nose")].max() == 0


@pytest.mark.parametrize(
    ("rule", "right", "neck"),
    [
        ("paper", (21, 10, 2), (15.5, 15, 1)),
        ("caffe", (21, 10, 2), (15.5, 15, 1)),
        ("keras", (21, 10, 2), (15.5, 15, 1)),
        ("lightweight", (21, 10, 2), (15.5, 15, 1)),
        ("tensorboy", (21, 10, 2), (16, 15, 2)),  # rounded; the product of 1 and 2
        ("tensorboy", (21, 10, 1), (16, 15, 1)),
        ("paper", (21, 10, 0), (0, 0, 0)),
        ("tensorboy", (21, 10, 0), (0, 0, 0)),
        ("lightweight", (-31, 10, 2), (-10.5, 15, 0)),  # out of the image
        ("paper", (-31, 10, 2), (-10.5, 15, 1)),
    ],
)
def test_the_neck_follows_the_recipes_rule(rule, right, neck):
    pipeline = one([{"left_shoulder": (10, 20, 1), "right_shoulder": right}], recipe=replace(STILL, neck=rule))

    found = pipeline.plain(0).points[0, COCO18.index("neck")]

    assert found[2] == neck[2]
    if neck[2]:
        assert found.tolist() == list(neck)


def test_a_source_with_a_neck_of_its_own_keeps_it():
    pipeline = one([{"neck": (5, 6, 2), "left_shoulder": (50, 50, 2), "right_shoulder": (60, 60, 2)}], skeleton=COCO18)

    assert pipeline.plain(0).points[0, COCO18.index("neck")].tolist() == [5, 6, 2]


def test_mpiis_people_become_those_of_the_network():
    pipeline = one([{"head_top": (20, 5, 2)}], skeleton=MPII16, recipe=replace(STILL, model="mpi15", stages=None))

    sample = pipeline.plain(0)

    assert sample.points.shape == (1, 15, 3)
    assert sample.points[0, MPI15.index("head_top")].tolist() == [20, 5, 2]
    assert sample.heat.shape == (8, 8, 16)


def test_the_joint_shift_moves_the_people_and_not_the_image():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    shifted = replace(STILL, augment=replace(STILL.augment, joint_shift=-1.0))
    people = [{"nose": (10, 20, 2), "left_shoulder": (30, 30, 2), "right_shoulder": (20, 30, 2)}]
    before, after = (one(people, image=image, recipe=recipe).plain(0) for recipe in (STILL, shifted))

    np.testing.assert_array_equal(before.image, image)
    np.testing.assert_array_equal(after.image, image)
    known = before.points[0, :, 2] > 0
    np.testing.assert_array_equal(after.points[0, known, :2], before.points[0, known, :2] - 1)  # and the neck
    assert known.sum() == 4


def test_an_image_without_people_is_background():
    for sample in (one().plain(0), one().sample(0, 0)):
        assert sample.points.shape == (0, 18, 3)
        np.testing.assert_array_equal(sample.heat[..., :-1], 0)
        np.testing.assert_array_equal(sample.heat[..., -1], 1)
        np.testing.assert_array_equal(sample.paf, 0)
        np.testing.assert_array_equal(sample.mask, 1)


def test_the_mask_moves_with_the_image():
    mask = np.full((64, 64), 255, np.uint8)
    mask[:, :24] = 0
    found = [
        one(mask=mask, recipe=replace(STILL, augment=replace(STILL.augment, mask="area", flip=flip))).sample(0, 0)
        for flip in (0.0, 1.0)
    ]

    np.testing.assert_array_equal(found[0].mask[..., 0], np.tile([0, 0, 0, 1, 1, 1, 1, 1], (8, 1)))
    np.testing.assert_array_equal(found[1].mask[..., 0], np.tile([1, 1, 1, 1, 1, 0, 0, 0], (8, 1)))


def test_tensorboys_shoulder_leads_to_the_eye():
    changed = dict(enumerate(targets.limbs(COCO18, targets.TENSORBOY)))

    assert {i: limb for i, limb in changed.items() if limb != COCO18.limbs[i]} == {9: (2, 14), 13: (5, 15)}
    assert targets.limbs(COCO18, targets.CAFFE) == list(COCO18.limbs)
    assert targets.limbs(MPI15, targets.TENSORBOY) == list(MPI15.limbs)
    person = {"right_shoulder": (10, 50, 2), "right_ear": (10, 10, 2), "right_eye": (50, 50, 2)}
    ear, eye = (
        one([person], recipe=replace(STILL, targets=spec)).plain(0).paf[..., 18:20].reshape(-1, 2)
        for spec in (targets.CAFFE, targets.TENSORBOY)
    )
    np.testing.assert_allclose(ear[np.abs(ear).any(axis=1)], [[0, -1]] * int(np.abs(ear).any(axis=1).sum()))
    np.testing.assert_allclose(eye[np.abs(eye).any(axis=1)], [[1, 0]] * int(np.abs(eye).any(axis=1).sum()))
    assert np.abs(ear).any()
    assert np.abs(eye).any()


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
