"""How crops of one person are varied: the published distributions, and nothing but the generator decides."""

from dataclasses import replace

import numpy as np
import pytest

from shared import augment_person
from shared.augment_person import COCO, MPII, NONE, PERSON_AUGMENTS, PLAIN, SIMPLE, draw, half_box
from shared.codec import crops
from shared.skeleton import COCO17, MPII16

N = 4000
SHARE = 0.03  # four standard deviations of a share of 4000 draws
UPPER = 0.6915  # of a normal number below 0.5
ALWAYS = replace(COCO, half_body=1.0)
EVERYONE = np.ones(17, bool)
LOWER = {COCO17.name: range(11, 17), MPII16.name: range(7)}  # as published, by number
SHOWN = (0, 1, 2, *range(11, 17))  # nine keypoints, three of them in the upper half


def rng(seed=0):
    return np.random.default_rng(seed)


def draws(spec, known=EVERYONE, skeleton=COCO17, n=N):
    generator = rng()
    return [draw(generator, known, skeleton, spec) for _ in range(n)]


def of(*numbers, skeleton=COCO17):
    """(K,) bool: these keypoints are known."""
    known = np.zeros(skeleton.n_keypoints, bool)
    known[list(numbers)] = True
    return known


def halves(known, skeleton=COCO17, spec=ALWAYS):
    """The share of upper halves; every draw has one of the two."""
    lower = of(*LOWER[skeleton.name], skeleton=skeleton)
    found = [d.half for d in draws(spec, known, skeleton)]
    upper = [np.array_equal(half, known & ~lower) for half in found]
    assert all(up or np.array_equal(half, known & lower) for up, half in zip(upper, found, strict=True))
    return np.mean(upper)


@pytest.mark.parametrize("skeleton", [COCO17, MPII16], ids=lambda s: s.name)
def test_of_two_full_halves_the_upper_one_comes_up_in_69_percent(skeleton):
    known = np.ones(skeleton.n_keypoints, bool)

    assert halves(known, skeleton) == pytest.approx(UPPER, abs=SHARE)


def test_the_halves_are_the_published_ones_by_name():
    names = {s: [s.keypoints[k] for k in LOWER[s.name]] for s in (COCO17, MPII16)}

    assert names[COCO17] == [f"{side}_{part}" for part in ("hip", "knee", "ankle") for side in ("left", "right")]
    assert sorted(names[MPII16]) == sorted([*names[COCO17], "pelvis"])


@pytest.mark.parametrize(
    ("known", "skeleton", "upper"),
    [
        (of(*SHOWN), COCO17, UPPER),  # three above are enough
        (of(*range(9)), COCO17, 1),
        (of(*range(8), 11, 16), COCO17, 1),  # two below are not
        (of(*range(7), 7, 8, skeleton=MPII16), MPII16, 0),  # nor two above
        (of(0, 1, *range(7, 16), skeleton=MPII16), MPII16, 1),
    ],
)
def test_a_half_of_two_keypoints_gives_way_to_the_other(known, skeleton, upper):
    assert halves(known, skeleton) == pytest.approx(upper, abs=SHARE * (0 < upper < 1))


def test_only_people_of_more_than_eight_keypoints_are_cut_in_half():
    assert all(d.half is None for d in draws(ALWAYS, of(*range(8)), n=100))
    assert all(d.half is not None for d in draws(ALWAYS, of(*range(9)), n=100))
    share = np.mean([d.half is not None for d in draws(COCO)])
    assert share == pytest.approx(0.3, abs=SHARE)


def test_a_half_of_one_keypoint_is_none():
    spec = replace(ALWAYS, half_body_keypoints=0)

    assert all(d.half is None for d in draws(spec, of(3), n=100))
    assert all(d.half.sum() == 2 for d in draws(spec, of(0, 3), n=100))


@pytest.mark.parametrize("spec", [COCO, SIMPLE, MPII])
def test_the_size_is_a_normal_factor_within_one_deviation(spec):
    found = (np.array([d.factor for d in draws(spec)]) - 1) / spec.scale

    assert np.abs(found).max() <= 1 + 1e-12
    for side in (-1, 1):
        assert np.isclose(found, side).mean() == pytest.approx(0.1587, abs=SHARE)  # what is cut off
    assert (np.abs(found) < 0.5).mean() == pytest.approx(0.3829, abs=SHARE)
    assert found.mean() == pytest.approx(0, abs=SHARE)


@pytest.mark.parametrize("spec", [COCO, SIMPLE, MPII])
def test_three_in_five_are_turned_by_a_normal_angle_within_two_deviations(spec):
    degrees = np.array([d.degrees for d in draws(spec)])
    turned = degrees[degrees != 0] / spec.rotation

    assert len(turned) / N == pytest.approx(0.6, abs=SHARE)
    assert np.abs(turned).max() == 2
    for side in (-2, 2):
        assert (turned == side).mean() == pytest.approx(0.02275, abs=0.015)
    assert (np.abs(turned) < 1).mean() == pytest.approx(0.6827, abs=SHARE)
    assert (turned > 0).mean() == pytest.approx(0.5, abs=SHARE)


def test_half_are_mirrored_whether_or_not_they_are_turned():
    found = np.array([(d.mirrored, d.degrees != 0) for d in draws(COCO)])

    assert found[:, 0].mean() == pytest.approx(0.5, abs=SHARE)
    assert found.all(axis=1).mean() == pytest.approx(0.3, abs=SHARE)


def test_the_profiles_are_the_published_ones():
    values = {name: (s.half_body, s.scale, s.rotation, s.rotated, s.flip) for name, s in PERSON_AUGMENTS.items()}

    assert values == {
        "coco": (0.3, 0.35, 45, 0.6, 0.5),
        "simple": (0, 0.3, 40, 0.6, 0.5),
        "mpii": (0, 0.25, 30, 0.6, 0.5),
        "none": (0, 0, 0, 0, 0),
    }
    assert {s.half_body_keypoints for s in PERSON_AUGMENTS.values()} == {8}
    assert all(d == PLAIN for d in draws(NONE, n=50))


def test_a_seed_gives_the_same_draws_and_another_one_others():
    def drawn(seed):
        generator = rng(seed)
        found = [draw(generator, EVERYONE, COCO17, COCO) for _ in range(50)]
        return [(None if d.half is None else d.half.tolist(), d.factor, d.degrees, d.mirrored) for d in found]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_the_box_of_a_half_is_about_its_mean_and_as_large_as_its_extent():
    points = np.array([(0, 0), (10, 0), (2, 30)], np.float32)

    assert half_box(points) == (-1, -5, 10, 30)  # about (4, 10), not (5, 15)


def test_the_crop_of_a_half_is_the_published_one():
    """HRNet's half_body_transform, as it is written: the extent, grown to the aspect, in units of 200 px, times 1.5."""
    points = rng(1).uniform(50, 250, (6, 2))
    width, height = np.ptp(points, axis=0)
    height, width = max(height, width / 0.75), max(width, height * 0.75)

    centre, scale = crops.from_boxes(np.array(half_box(points)), (256, 192), replace(crops.MSRA, padding=1.5))

    np.testing.assert_allclose(centre, points.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, np.array([width, height]) / 200 * 1.5, rtol=1e-6)


def test_the_sides_of_a_name_do_not_decide_its_half():
    assert augment_person._half(rng(), of(11, 13, 15), COCO17).sum() == 3  # a left leg alone
