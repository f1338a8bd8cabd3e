"""Boxes to crops and back, against the published numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shared.codec import crops
from shared.codec.crops import CROPS, MSRA, UDP
from shared.data import mpii
from shared.errors import UserError

EXACT = 1e-8  # the numbers have nine decimals
CENTRE, SCALE, SIZE = np.array([140.0, 150.0]), np.array([0.9375, 1.25]), (256, 192)

BOXES = [  # box, aspect, centre, scale: HRNet's own
    ((100, 50, 80, 200), 0.75, (140, 150), (0.9375, 1.25)),
    ((10.5, 20.25, 300, 100), 0.75, (160.5, 70.25), (1.875, 2.5)),
    (
        (277.1183158543966, 45.699667786163765, 225.09126579259754, 333.5602652943344),
        0.75,
        (389.6639404296875, 212.47979736328125),
        (1.5635638236999512, 2.084751605987549),
    ),
    ((0, 0, 150, 200), 0.75, (75, 100), (0.9375, 1.25)),
    ((100, 50, 80, 200), 1.0, (140, 150), (1.25, 1.25)),
]
AFFINES = [  # centre, scale, degrees, (height, width), forward, inverse: HRNet's own
    (
        (140, 150), (0.9375, 1.25), 0, (256, 192),
        ((1.024, 0, -47.36), (0, 1.024, -25.6)),
        ((0.9765625, 0, 46.25), (0, 0.9765625, 25)),
    ),
    (
        (140, 150), (0.9375, 1.25), 30, (256, 192),
        ((0.886810013, 0.512, -104.953401887), (-0.512, 0.886810013, 66.658497979)),
        ((0.845727933, -0.48828125, 121.310118395), (0.48828125, 0.845727933, -5.128175473)),
    ),
    (
        (140, 150), (0.9375, 1.25), -45, (256, 192),
        ((0.724077344, -0.724077344, 103.240773439), (0.724077344, 0.724077344, -81.982429741)),
        ((0.690533966, 0.690533966, -14.679608385), (-0.690533966, 0.690533966, 127.902913088)),
    ),
    (
        (140, 150), (0.9375, 1.25), 0, (64, 48),
        ((0.256, 0, -11.84), (0, 0.256, -6.4)),
        ((3.90625, 0, 46.25), (0, 3.90625, 25)),
    ),
    (
        (256.5, 128.25), (2, 2), 15, (256, 256),
        ((0.618192529, 0.165644189, -51.810250866), (-0.165644189, 0.618192529, 91.204542622)),
        ((1.509259104, -0.404404758, 115.078643763), (0.404404758, 1.509259104, -116.698974278)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("box", "aspect", "centre", "scale"), BOXES)
def test_a_box_has_the_published_centre_and_scale(box, aspect, centre, scale):
    found = crops.from_boxes(np.array(box), (256, round(256 * aspect)))

    np.testing.assert_array_equal(found[0], np.float32(centre))
    np.testing.assert_allclose(found[1], scale, rtol=1e-7)
    assert found[0].dtype == found[1].dtype == np.float32


def test_boxes_together_are_boxes_one_by_one():
    boxes = np.array([box for box, *_ in BOXES])

    centres, scales = crops.from_boxes(boxes, SIZE)

    for i, box in enumerate(boxes):
        np.testing.assert_array_equal(crops.from_boxes(box, SIZE), (centres[i], scales[i]))


def test_another_padding_or_aspect_would_be_seen():
    box, _, _, scale = BOXES[2]

    for found in (
        crops.from_boxes(np.array(box), SIZE, replace(MSRA, padding=1.2)),
        crops.from_boxes(np.array(box), (192, 256)),
    ):
        assert np.abs(found[1] - scale).max() > 0.01


def test_a_box_around_minus_one_is_not_padded_as_published():
    _, scales = crops.from_boxes(np.array([[-41.0, 0, 80, 200], [-40.0, 0, 80, 200]]), SIZE)

    np.testing.assert_allclose(scales, [(0.75, 1.0), (0.9375, 1.25)])


def test_a_box_without_extent_is_one_pixel():
    _, scales = crops.from_boxes(np.array([10.0, 10, 0, 0]), SIZE, replace(MSRA, padding=1.0))

    np.testing.assert_allclose(scales * 200, (0.75, 1.0))


def test_a_detected_box_may_leave_the_image():
    centres, _ = crops.from_boxes(np.array([-300.0, -20, 100, 100]), SIZE)

    np.testing.assert_array_equal(centres, (-250, 30))


def test_an_annotated_box_is_clipped_and_loses_a_pixel():
    boxes = np.array([[10, 20, 30, 40], [-5, -5, 30, 40], [600, 450, 100, 100], [5, 5, 0.5, 1], [700, 5, 9, 9.0]])

    clean, usable = crops.clean_box(boxes, (480, 640))

    np.testing.assert_allclose(clean[:4], [(10, 20, 29, 39), (0, 0, 29, 39), (600, 450, 39, 29), (5, 5, 0, 0)])
    assert usable.tolist() == [True, True, True, True, False]


def test_each_box_may_have_an_image_of_its_own():
    boxes, sizes = np.array([[600, 450, 100, 100.0], [600, 450, 100, 100]]), np.array([(480, 640), (500, 620)])

    clean, usable = crops.clean_box(boxes, sizes)

    np.testing.assert_allclose(clean[:, 2:], [(39, 29), (19, 49)])
    assert usable.all()


def test_mpii_moves_down_and_counts_from_one(tmp_path):
    """The box that MPII's reader makes of centre and scale gives the published centre and scale."""
    entry = {
        "joints": [[9, 9]] * 16,
        "joints_vis": [1] * 16,
        "image": "a.jpg",
        "center": [594.0, 257.0],
        "scale": 3.021046,
    }
    (tmp_path / "valid.json").write_text(json.dumps([entry]))

    centre, scale = crops.from_boxes(mpii.read(tmp_path / "valid.json")["boxes"], (256, 256))

    np.testing.assert_allclose(centre[0], (593, 256 + 15 * 3.021046), rtol=1e-6)
    np.testing.assert_allclose(scale[0], np.full(2, 3.021046 * 1.25), rtol=1e-6)


def test_the_area_is_that_of_the_padded_box():
    assert crops.areas(np.array([0.9375, 1.25])) == pytest.approx(187.5 * 250)


@pytest.mark.parametrize(("centre", "scale", "degrees", "size", "forward", "inverse"), AFFINES)
def test_an_affine_is_the_published_one(centre, scale, degrees, size, forward, inverse):
    found = crops.matrix(np.array(centre), np.array(scale), degrees, size)

    np.testing.assert_allclose(found, forward, atol=EXACT)
    np.testing.assert_allclose(crops.inverse(found), inverse, atol=EXACT)


@pytest.mark.parametrize(
    "wrong",
    [
        crops.matrix(CENTRE, SCALE, -30, SIZE),
        crops.matrix(CENTRE, SCALE, 30, SIZE[::-1]),
        crops.matrix(CENTRE, SCALE[::-1], 30, SIZE),
        crops.matrix(CENTRE + 1, SCALE, 30, SIZE),
        crops.matrix(CENTRE, SCALE, 30, SIZE, UDP),
        crops.matrix(CENTRE, SCALE, 30, SIZE, replace(MSRA, clockwise=True)),
    ],
    ids=["turned back", "axes", "sides", "a px", "udp", "clockwise"],
)
def test_a_wrong_affine_would_be_seen(wrong):
    assert np.abs(wrong - AFFINES[1][4]).max() > 1e-2


@pytest.mark.parametrize("spec", CROPS.values(), ids=CROPS)
def test_affines_together_are_affines_one_by_one(spec):
    rng = np.random.default_rng(0)
    centres, scales, turns = rng.uniform(0, 400, (5, 2)), rng.uniform(0.5, 3, (5, 2)), rng.uniform(-80, 80, 5)

    together = crops.matrix(centres, scales, turns, SIZE, spec)

    assert together.shape == (5, 2, 3)
    for i in range(5):
        np.testing.assert_allclose(together[i], crops.matrix(centres[i], scales[i], turns[i], SIZE, spec), atol=1e-12)


def test_udp_spans_the_centres_of_the_first_and_the_last_pixel():
    corners = np.array([CENTRE - SCALE * 100, CENTRE + SCALE * 100])

    udp = crops.move(corners, crops.matrix(CENTRE, SCALE, 0, SIZE, UDP))
    msra = crops.move(corners, crops.matrix(CENTRE, SCALE, 0, SIZE))

    np.testing.assert_allclose(udp, [(0, 0), (191, 255)], atol=1e-4)
    np.testing.assert_allclose(msra, [(0, 0), (192, 256)], atol=1e-4)


def test_the_udp_affine_is_the_published_one():
    found = crops.matrix(CENTRE, SCALE, 0, SIZE, UDP)
    turned = crops.matrix(CENTRE, SCALE, 90, SIZE, UDP)

    np.testing.assert_allclose(found, [(191 / 187.5, 0, 95.5 - 140 * 191 / 187.5), (0, 1.02, -25.5)], atol=EXACT)
    np.testing.assert_allclose(turned[:, :2], [(0, -191 / 187.5), (1.02, 0)], atol=EXACT)


def test_udp_commutes_with_the_mirror_and_msra_is_a_pixel_off():
    width, points = 640, np.array([[100.0, 80], [171.3, 222.2]])
    mirrored = points * (-1, 1) + (width - 1, 0)
    centre = CENTRE * (-1, 1) + (width - 1, 0)

    def off(spec):
        plain = crops.move(points, crops.matrix(CENTRE, SCALE, 0, SIZE, spec))
        turned = crops.move(mirrored, crops.matrix(centre, SCALE, 0, SIZE, spec))
        return (SIZE[1] - 1 - turned[:, 0]) - plain[:, 0]

    np.testing.assert_allclose(off(UDP), 0, atol=1e-4)
    np.testing.assert_allclose(off(MSRA), -1, atol=1e-4)


@pytest.mark.parametrize("spec", CROPS.values(), ids=CROPS)
def test_points_come_back_and_keep_their_third_column(spec):
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.uniform(0, 600, (4, 17, 2)), rng.integers(0, 3, (4, 17, 1))], axis=-1)
    matrices = crops.matrix(rng.uniform(0, 400, (4, 2)), rng.uniform(0.5, 3, (4, 2)), 33.0, SIZE, spec)

    moved = crops.move(points, matrices)
    back = crops.move(moved, crops.inverse(matrices))

    assert np.abs(moved - points).max() > 50
    np.testing.assert_array_equal(moved[..., 2], points[..., 2])
    np.testing.assert_allclose(back, points, atol=1e-3)  # float32 in between
    assert moved.dtype == np.float32


def ramp(height, width):
    """Red is x, green is y, blue is white."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, 255)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("spec", CROPS.values(), ids=CROPS)
def test_the_picture_moves_with_its_points(spec):
    matrix = crops.matrix(np.array([120.0, 110]), np.array([0.6, 0.8]), 20, SIZE, spec)

    crop = crops.warp(ramp(240, 250), matrix, SIZE)
    at = crops.move(
        np.array([(column, row) for row in (90, 128, 170) for column in (70, 96, 130)]), crops.inverse(matrix)
    )
    seen = np.array([crop[row, column, :2] for row in (90, 128, 170) for column in (70, 96, 130)], float)

    assert crop.shape == (256, 192, 3)
    np.testing.assert_allclose(seen, at, atol=0.6)  # half a grey level, and OpenCV's 32nds of a px
    assert np.abs(seen - (at + 1)).min() > 0.3, "one px more would be seen"


def test_outside_the_picture_is_black():
    crop = crops.warp(ramp(240, 250), crops.matrix(np.array([0.0, 0]), np.array([0.6, 0.8]), 0, SIZE), SIZE)

    assert not crop[:100].any()
    assert not crop[:, :80].any()
    assert crop[140:, 110:].any(axis=-1).all()


def test_a_picture_that_opencv_cannot_address_is_refused():
    with pytest.raises(UserError, match="40000x2 px; expected at most 32766"):
        crops.warp(np.zeros((2, 40_000, 3), np.uint8), np.eye(2, 3), SIZE)


def test_a_box_of_nothing_is_refused():
    with pytest.raises(UserError, match="a box is 0 px wide"):
        crops.matrix(CENTRE, np.zeros(2), 0, SIZE)


def centre_of(box, spec):
    """(x, y) px of the image: the middle of the crop of a box."""
    centre, scale = crops.from_boxes(np.array(box, float), SIZE, spec)
    back = crops.inverse(crops.matrix(centre, scale, 0.0, SIZE, spec))
    return crops.move((np.array([SIZE[::-1]]) - spec.aligned) / 2, back)[0]


@pytest.mark.parametrize("spec", CROPS.values(), ids=CROPS)
def test_every_plausible_box_has_its_crop(spec):
    far, near = crops.FARTHEST, 1e-300
    for box in [(0, 0, far, far), (-far, far, far, near), (far, -far, near, near), (-50, 900, 20, far)]:
        assert crops.plausible(box)
        middle = np.array(box[:2]) + np.array(box[2:]) / 2
        np.testing.assert_allclose(centre_of(box, spec), middle, atol=0.02)  # float32's step there is 0.008


@pytest.mark.parametrize(
    "box",
    [
        (1e12, 0, 10, 10), (0, 0, 1e30, 1e30), (1e300, 1e300, 5, 5), (0, 0, 1e-300, 1e300), (0, 0, 100_001, 5),
        (0, 0, 0, 5), (0, 0, 5, -1), (np.nan, 0, 5, 5), (0, -np.inf, 5, 5),
    ],
)  # fmt: skip
def test_a_box_that_nobody_has_is_known(box):
    assert not crops.plausible(box)
