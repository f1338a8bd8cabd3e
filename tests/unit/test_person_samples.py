"""A sample of one person: who it is, and image and keypoints that move together."""

from dataclasses import replace

import numpy as np
import pytest

from shared import augment_person
from shared.codec import crops, heatmaps, keypoints
from shared.data.source import Raw
from shared.errors import UserError
from shared.person_samples import PersonSamples
from shared.recipe import Recipe
from shared.recipes import HRNET_BUILTIN
from shared.skeleton import COCO17, MPII16, Skeleton
from tests.unit.drawn import One

TINY = replace(HRNET_BUILTIN, batch=6, per_image=1, person=replace(augment_person.COCO, rotation=40.0, rotated=1.0))
UDP = replace(TINY, crops=crops.UDP, heatmaps=heatmaps.UDP)
SIZE = TINY.spec.size
PLACE = 0.1  # px of the crop
SPOTS = {"left_wrist": (110, 95), "right_knee": (150, 150), "nose": (135, 70)}  # red, green, blue


def person(values, skeleton=COCO17):
    points = np.zeros((skeleton.n_keypoints, 3), np.float32)
    for name, (x, y) in values.items():
        points[skeleton.index(name)] = x, y, 2
    return points


def raw(people, boxes, size=(240, 300), main=True, image=None):
    image = np.zeros((*size, 3), np.uint8) if image is None else image
    return Raw(image, np.array(people), np.array(boxes, np.float32), None, main, "one")


def spots():
    """A soft spot of its own colour at each keypoint."""
    y, x = np.mgrid[:240, :300]
    each = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18) for cx, cy in SPOTS.values()]
    image = np.rint(255 * np.stack(each, axis=-1)).astype(np.uint8)
    return raw([person(SPOTS)], [[80, 50, 100, 130]], image=image)


def of(one: Raw, recipe: Recipe = TINY, skeleton: Skeleton = COCO17) -> PersonSamples:
    return PersonSamples(One(one, skeleton), recipe)


def middle(plane):
    """(x, y) of a spot."""
    weights = np.where(plane < 8, 0, plane.astype(float))  # what is rounded
    return np.array([weights.sum(axis=axis) @ np.arange(plane.shape[1 - axis]) for axis in (0, 1)]) / weights.sum()


def inside(xy, margin=14):
    return bool((xy > margin).all() and (xy < np.array(SIZE[::-1]) - margin).all())


@pytest.mark.parametrize("recipe", [TINY, UDP], ids=["msra", "udp"])
def test_the_image_and_the_keypoints_move_together(recipe):
    samples, seen, mirrored = of(spots(), recipe), 0, set()
    for epoch in range(40):
        crop = samples._crop(epoch, 0)
        sides = COCO17.flip if crop.points[0, COCO17.index("right_wrist"), 2] else range(17)
        mirrored.add(sides is COCO17.flip)
        for colour, name in enumerate(SPOTS):
            point = crop.points[0, sides[COCO17.index(name)]]
            assert point[2] == 2
            if inside(point[:2]):
                np.testing.assert_allclose(middle(crop.image[..., colour]), point[:2], atol=PLACE)
                seen += 1
        assert (crop.points[0, :, 2] > 0).sum() == 3
    assert seen > 60
    assert mirrored == {True, False}


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points * (1, 1, 1) + (0.25, 0, 0),
        lambda points: points[:, COCO17.flip],
        lambda points: points * (-1, 1, 1) + (SIZE[1] - 1, 0, 0),
    ],
    ids=["shifted", "swapped", "mirrored"],
)
def test_a_keypoint_elsewhere_would_be_seen(change):
    crop = of(spots(), replace(TINY, person=augment_person.NONE))._crop(0, 0)
    moved = change(crop.points)

    away = [np.abs(middle(crop.image[..., c]) - moved[0, COCO17.index(n), :2]).max() for c, n in enumerate(SPOTS)]

    assert max(away) > 2 * PLACE


def test_a_mirrored_person_has_left_and_right_swapped():
    flips = [replace(TINY, person=replace(augment_person.NONE, flip=flip)) for flip in (0.0, 1.0)]
    straight, mirrored = (of(spots(), recipe)._crop(0, 0) for recipe in flips)

    turned = straight.points[:, list(COCO17.flip)]
    known = turned[0, :, 2] > 0
    assert {COCO17.keypoints[k] for k in np.flatnonzero(known)} == {"right_wrist", "left_knee", "nose"}
    # MSRA's middle of a crop is at half its width, not half a px before it: mirrored, everything is one px off.
    np.testing.assert_allclose(mirrored.points[0, known, 0], SIZE[1] - turned[0, known, 0], atol=1e-4)
    np.testing.assert_allclose(mirrored.points[0, known, 1], turned[0, known, 1], atol=1e-4)
    assert not mirrored.points[0, ~known].any()


def test_the_turn_of_a_mirrored_person_keeps_its_sign():
    """As published: the picture is mirrored first and then turned as another one would be."""
    spec = replace(augment_person.NONE, rotation=30.0, rotated=1.0)
    down = {}
    for flip in (0.0, 1.0):
        points = of(spots(), replace(TINY, seed=5, person=replace(spec, flip=flip)))._crop(0, 0).points[0]
        knee, wrist = (points[points[:, 2] > 0][i, :2] for i in (2, 1))
        mirrored = np.array([(-1) ** int(flip), 1]) * np.subtract(SPOTS["right_knee"], SPOTS["left_wrist"])
        down[flip] = np.angle(complex(*(knee - wrist)) / complex(*mirrored))

    assert down[0.0] == pytest.approx(down[1.0], abs=1e-3)
    assert abs(down[0.0]) > 0.05


def test_unknown_keypoints_weigh_nothing():
    batch = of(spots(), replace(TINY, person=augment_person.NONE)).batch(range(2))

    known = [k for k, name in enumerate(COCO17.keypoints) if name in SPOTS]
    assert np.flatnonzero(batch.mask[0, 0, 0]).tolist() == known
    assert np.flatnonzero(batch.heat[0].max(axis=(0, 1))).tolist() == known
    assert set(batch.mask.ravel()) == {0.0, 1.0}


@pytest.mark.parametrize("recipe", [TINY, UDP], ids=["msra", "udp"])
def test_the_heatmaps_show_the_keypoints_of_the_crop(recipe):
    samples = of(spots(), replace(recipe, person=augment_person.NONE))
    crop, batch = samples._crop(0, 0), samples.batch(range(1))

    found = keypoints.decode(batch.heat, keypoints.decoder(recipe.decoder))[0]

    known = crop.points[0, :, 2] > 0
    steps = (np.array(SIZE[::-1]) - 1) / (np.array(batch.heat.shape[2:0:-1]) - 1) if recipe is UDP else 4
    np.testing.assert_allclose(found[known, :2] * steps, crop.points[0, known, :2], atol=0.05)


@pytest.mark.parametrize(
    ("skeleton", "clipped"), [(COCO17, True), (MPII16, False)], ids=lambda v: getattr(v, "name", v)
)
def test_cocos_boxes_are_clipped_and_mpiis_are_not(skeleton, clipped):
    box, at = np.array([-40.0, 60, 200, 160]), (100, 120)
    recipe = replace(TINY, skeleton=skeleton.name, person=augment_person.NONE)
    one = raw([person({"left_wrist": at}, skeleton)], [box])
    boxes = {True: crops.clean_box(box, (240, 300))[0], False: box}
    wanted = {}
    for clip, used in boxes.items():
        matrix = crops.matrix(*crops.from_boxes(used, SIZE), 0.0, SIZE)
        wanted[clip] = matrix[:, :2] @ at + matrix[:, 2]

    (found,) = of(one, recipe, skeleton)._crop(0, 0).points

    np.testing.assert_allclose(found[skeleton.index("left_wrist"), :2], wanted[clipped], atol=1e-3)
    assert np.abs(wanted[True] - wanted[False]).max() > 1


def test_scenes_without_anybody_are_an_error():
    empty = raw(np.zeros((0, 17, 3), np.float32), np.zeros((0, 4)), main=False)
    unknown = raw([person({})], [[20, 20, 50, 50]])
    outside = raw([person(SPOTS)], [[400, 20, 50, 50]])

    for one in (empty, unknown, outside):
        with pytest.raises(UserError, match=r"^one: nobody in it nor in the 15 before it; expected people with key"):
            of(one).plain_batch(range(1))


def two(main):
    """Two people side by side, told apart by their only keypoint."""
    people = [person({"nose": (80, 100)}), person({"left_hip": (220, 100)})]
    return raw(people, [[40, 60, 80, 120], [180, 60, 80, 120]], main=main)


def test_the_main_person_is_the_sample_and_without_one_it_is_anybody():
    chosen = {}
    for main in (True, False):
        masks = of(two(main), replace(TINY, person=augment_person.NONE)).batch(range(40)).mask
        chosen[main] = [COCO17.keypoints[k] for k in masks[:, 0, 0].argmax(axis=-1)]

    assert set(chosen[True]) == {"nose"}
    assert 8 < chosen[False].count("nose") < 32
    assert set(chosen[False]) == {"nose", "left_hip"}


def test_a_half_of_the_body_is_followed_with_more_room_about_it():
    spec = replace(augment_person.NONE, half_body=1.0)
    points = np.zeros((17, 3), np.float32)
    points[:, :2] = np.random.default_rng(2).uniform(60, 180, (17, 2))
    points[:, 2] = 2
    crop = of(raw([points], [[10, 10, 200, 200]]), replace(TINY, person=spec))._crop(0, 0)

    halves = [crop.points[0, :11, :2], crop.points[0, 11:, :2]]
    (half,) = [h for h in halves if np.allclose(h.mean(axis=0), np.array(SIZE[::-1]) / 2, atol=1e-3)]
    assert (np.ptp(half, axis=0) / SIZE[::-1]).max() == pytest.approx(1 / 1.5, abs=1e-4)


def test_crops_of_an_image_come_in_a_row_of_one_person_after_the_other():
    recipe = replace(TINY, per_image=3, person=augment_person.NONE)
    people = [person({"nose": (60, 60)}), person({"nose": (200, 100)})]
    samples = of(raw(people, [[20, 20, 90, 120], [150, 60, 120, 90]], main=False), recipe)

    cut = [samples._crop(epoch, index).points for epoch in range(2) for index in range(3)]

    first, second = cut[:2]
    assert not np.array_equal(first, second)
    assert [np.array_equal(points, first) for points in cut] == [True, False] * 3
