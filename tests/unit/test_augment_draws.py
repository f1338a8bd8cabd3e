"""Where crops are taken: in the ranges of the originals."""

from dataclasses import replace

import numpy as np
import pytest

from shared import augment
from shared.augment import AUGMENTS, CAFFE, HL, KERAS, LIGHTWEIGHT, MODERN, TENSORBOY, Augment
from tests.unit.affines import BOX, MIDDLE, SIZE, back, degrees, draws, factor, moved, rng

every_profile = pytest.mark.parametrize("spec", AUGMENTS.values(), ids=AUGMENTS)


@pytest.mark.parametrize(("spec", "low", "high"), [(CAFFE, 0.5, 1.1), (LIGHTWEIGHT, 0.5, 1.1), (HL, 0.25, 0.81)])
def test_the_main_person_is_0_6_of_the_crop_times_the_originals_factor(spec, low, high):
    heights = np.array([factor(a) * BOX[0, 3] for a in draws(spec)]) / (0.6 * 368)

    assert low <= heights.min() < low + 0.02
    assert high - 0.02 < heights.max() <= high


def test_hs_factor_is_the_square_of_a_uniform_one():
    """The negative control: a factor that is itself uniform has another middle."""
    factors = [factor(a) * BOX[0, 3] / (0.6 * 368) for a in draws(HL, 1000)]

    assert np.median(factors) == pytest.approx(0.7**2, abs=0.02)
    once = [factor(a) * BOX[0, 3] / (0.6 * 368) for a in draws(replace(HL, power=1), 1000)]
    assert np.median(once) == pytest.approx(0.7, abs=0.02)


def test_kevinlins_people_are_never_scaled():
    for affine in draws(KERAS, 100):
        assert factor(affine) == pytest.approx(0.6 * 368 / BOX[0, 3], rel=1e-6)


@pytest.mark.parametrize("spec", [CAFFE, KERAS, HL, LIGHTWEIGHT], ids=["caffe", "keras", "hl", "lightweight"])
def test_the_originals_turn_by_up_to_40_degrees_and_mirror_half(spec):
    found = draws(spec)
    turns = [degrees(a) for a in found]

    assert -40 <= min(turns) < -38
    assert 38 < max(turns) <= 40
    assert 0.4 < np.mean([a.mirrored for a in found]) < 0.6


@pytest.mark.parametrize("spec", [CAFFE, LIGHTWEIGHT], ids=["caffe", "lightweight"])
def test_caffes_window_moves_by_40_px_of_the_crop(spec):
    """The middle of the box, moved as the keypoints are, would be at 184."""
    spec = replace(spec, flip=0.0)
    shifts = np.array([moved(a, np.array(MIDDLE) + spec.joint_shift)[0] for a in draws(spec)]) - 184

    assert np.abs(shifts).max() <= 40
    assert (shifts.min(axis=0) < -38).all()
    assert (shifts.max(axis=0) > 38).all()


@pytest.mark.parametrize("spec", [KERAS, HL], ids=["keras", "hl"])
def test_kevinlins_window_moves_by_40_px_of_the_image(spec):
    """Before it turns: the offset is added to objpos."""
    shifts = np.array([back(a, np.array([184.0, 184.0])) for a in draws(spec)]) - MIDDLE

    assert np.abs(shifts).max() <= 40 + 1e-6
    assert (shifts.min(axis=0) < -38).all()
    assert (shifts.max(axis=0) > 38).all()


@every_profile
def test_an_affine_scales_both_axes_alike_and_mirrors_after_the_turn(spec):
    for affine in draws(spec, 50):
        angle = np.radians(degrees(affine))
        linear = factor(affine) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear[0] *= -1 if affine.mirrored else 1
        np.testing.assert_allclose(affine.matrix[:, :2], linear, atol=1e-9)


def test_a_mirrored_x_is_367_less_x_and_one_more_for_kevinlin():
    for spec, sum_of_both in ((CAFFE, 367), (KERAS, 368)):
        straight, mirrored = (
            augment.draw(rng(), SIZE, BOX, True, replace(spec, flip=flip, rotation=0.0)) for flip in (0.0, 1.0)
        )
        assert not straight.mirrored
        assert mirrored.mirrored
        here, there = (moved(a, (300.0, 200.0))[0] for a in (straight, mirrored))
        assert here[0] + there[0] == pytest.approx(sum_of_both, abs=1e-4)
        assert here[1] == there[1]


@pytest.mark.parametrize(("spec", "low", "high"), [(TENSORBOY, 0.5, 1.0), (MODERN, 0.65, 1.4)])
def test_a_window_anywhere_is_of_the_image_as_a_whole(spec, low, high):
    """Whatever the box: the image is scaled."""
    factors = [factor(a) for a in draws(spec, boxes=BOX * [1, 1, 1, 0.3])]

    assert low <= min(factors) < low * 1.03
    assert high / 1.03 < max(factors) <= high + 1e-9


def test_tensorboy_does_not_turn_and_modern_draws_the_logarithm():
    assert max(abs(degrees(a)) for a in draws(TENSORBOY)) < 1e-9
    middle = np.median([factor(a) for a in draws(MODERN, 2000)])
    assert middle == pytest.approx(np.sqrt(0.65 * 1.4), rel=0.03)
    assert middle != pytest.approx((0.65 + 1.4) / 2, rel=0.03)


@pytest.mark.parametrize("spec", [TENSORBOY, replace(MODERN, rotation=0.0)], ids=["tensorboy", "modern"])
def test_a_window_lies_on_the_image_where_it_fits_and_else_the_image_is_in_its_middle(spec):
    """An image goes from half a pixel before its first column's middle to half a pixel after its last's."""
    reached = []
    for size in (SIZE, (900, 1200), (300, 2000), (100, 120)):
        ends = np.array([[-0.5, -0.5], [size[1] - 0.5, size[0] - 0.5]])
        for affine in draws(spec, 100, BOX * 0.3, size=size):
            corners = back(affine, np.array([[-0.5, -0.5], [spec.crop - 0.5] * 2]))
            corners.sort(axis=0)
            side = corners[1] - corners[0]
            for axis in (0, 1):
                before, after = corners[0, axis] - ends[0, axis], ends[1, axis] - corners[1, axis]
                if side[axis] < size[1 - axis]:
                    assert min(before, after) > -1e-6
                    reached.append(min(before, after) < 1e-6)
                else:
                    assert before == pytest.approx(after, abs=1e-6)
    assert any(reached)


def test_windows_of_tensorboy_are_anywhere_and_those_of_modern_mostly_on_people():
    boxes = np.array([[1500.0, 1500, 100, 200], [300, 300, 40, 80]])

    def share(spec: Augment) -> float:
        found = []
        for affine in draws(spec, 300, boxes, size=(2000, 2000)):
            middles = moved(affine, *(boxes[:, :2] + boxes[:, 2:] / 2).tolist())
            found.append(((middles >= 0) & (middles < 368)).all(axis=1).any())
        return float(np.mean(found))

    assert share(TENSORBOY) < 0.35
    assert share(MODERN) > 0.75


@pytest.mark.parametrize("spec", [TENSORBOY, replace(MODERN, rotation=0.0)], ids=["tensorboy", "modern"])
def test_a_snapped_window_begins_at_the_nearest_cell(spec):
    """In px of the crop, from the image's corner; nothing else about the draw changes."""
    free, snapped = draws(spec, 200), draws(replace(spec, snap=8), 200)

    begins = np.array([moved(a, np.array([-0.5, -0.5]))[0] + 0.5 for a in snapped])
    begins[:, 0] = [spec.crop - x if a.mirrored else x for a, x in zip(snapped, begins[:, 0], strict=True)]
    np.testing.assert_allclose(begins, np.round(begins / 8) * 8, atol=1e-6)
    shifts = np.array([a.matrix[:, 2] - b.matrix[:, 2] for a, b in zip(free, snapped, strict=True)])
    assert 3.5 < np.abs(shifts).max() <= 4 + 1e-6
    assert all((a.matrix[:, :2] == b.matrix[:, :2]).all() for a, b in zip(free, snapped, strict=True))


def test_a_snapped_window_at_the_images_scale_has_the_images_own_pixels():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    spec = replace(MODERN, crop=128, scale=(1.0, 1.0), rotation=0.0, flip=0.0, snap=8)

    for affine in draws(spec, 20, size=(480, 640)):
        x, y = (-affine.matrix[:, 2]).astype(int)
        np.testing.assert_array_equal(augment.warp_image(image, affine, spec), image[y : y + 128, x : x + 128])


@every_profile
def test_an_image_without_people_is_cropped_too(spec):
    for affine in draws(spec, 5, np.zeros((0, 4)), main=False):
        assert np.isfinite(affine.matrix).all()
    plain = augment.plain(SIZE, np.zeros((0, 4)), False, spec)
    assert factor(plain) == pytest.approx(1)


@every_profile
def test_the_plain_crop_has_the_main_person_in_its_middle_or_the_image(spec):
    affine = augment.plain(SIZE, BOX, True, spec)

    assert not affine.mirrored
    assert degrees(affine) == 0
    if spec.follow == "main":
        np.testing.assert_allclose(moved(affine, np.array(MIDDLE) + spec.joint_shift), [[184, 184]], atol=1e-4)
        assert factor(affine) * BOX[0, 3] == pytest.approx(0.6 * 368)
    else:
        np.testing.assert_allclose(moved(affine, (319.5, 239.5)), [[183.5, 183.5]], atol=1e-4)
        assert factor(affine) == pytest.approx(1)
    again = augment.plain(SIZE, BOX, True, replace(spec, scale=(0.1, 0.2), rotation=90.0, shift=99.0, flip=1.0))
    np.testing.assert_array_equal(affine.matrix, again.matrix)
