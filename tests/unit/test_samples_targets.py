"""The targets of a training sample: they are where the image shows the people, however both were moved."""

from dataclasses import replace

import numpy as np
import pytest

from shared import augment
from shared.codec import targets
from shared.data.source import Raw
from shared.recipe import Recipe
from shared.recipes import BUILTIN_SMALL
from shared.samples import Pipeline
from shared.skeleton import COCO17, COCO18, MPI15, MPII16
from tests.unit.drawn import One

TINY = replace(BUILTIN_SMALL, batch=6, augment=replace(BUILTIN_SMALL.augment, crop=64))
STILL = replace(  # plain crops of 64 x 64 images are the images
    TINY, augment=augment.Augment(crop=64, follow="anywhere", scale=(1, 1), rotation=0, flip=0), neck="paper"
)


def one(points=(), size=(64, 64), image=None, mask=None, recipe: Recipe = STILL, skeleton=COCO17) -> Pipeline:
    """A pipeline of one sample, of people given as {keypoint: (x, y, v)}."""
    people = np.zeros((len(points), skeleton.n_keypoints, 3), np.float32)
    for person, values in zip(people, points, strict=True):
        for name, value in values.items():
            person[skeleton.index(name)] = value
    boxes = np.tile(np.array([10, 10, 40, 40], np.float32), (len(points), 1))
    image = np.zeros((*size, 3), np.uint8) if image is None else image
    return Pipeline(One(Raw(image, people, boxes, mask, False, "one"), skeleton), recipe)


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
