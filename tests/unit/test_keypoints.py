"""Heatmaps of crops to keypoints, and those to the image: the published values."""

from dataclasses import replace

import numpy as np
import pytest

from shared.codec import crops, keypoints
from shared.codec.keypoints import ARGMAX, DARK, KEYPOINTS, PLAIN, SOFTARGMAX, UDP, decode, to_image
from shared.errors import UserError

SIZE = (256, 192)
CENTRE, SCALE = np.array([[140.0, 150]]), np.array([[0.9375, 1.25]])
CELL = 1e-4  # what the published soft-argmax, in float32, is away from the exact value
PX = 4e-5  # the published image coordinates are float32

PUBLISHED = [  # rows, columns, values; background; argmax, score, with the quarter; image; the same of the soft-argmax
    (
        ((10, 20, 0.9), (10, 21, 0.4), (10, 19, 0.3), (11, 20, 0.2), (9, 20, 0.5)), 0,
        (20, 10), 0.9, (20.25, 9.75), (125.3515625, 63.085941314697266), (20, 10), 0.9, (20.25, 9.75),
    ),
    (((0, 0, 0.8), (0, 1, 0.5)), 0, (0, 0), 0.8, (0, 0), (46.25, 25), (0, 0), 0.8, (0, 0)),
    (
        ((1, 1, 0.8), (1, 2, 0.5), (2, 1, 0.5)), 0,
        (1, 1), 0.8, (1, 1), (50.15625, 28.90625), (1, 1), 0.8, (1, 1),
    ),
    (
        ((2, 2, 0.8), (2, 3, 0.5), (3, 2, 0.5)), 0,
        (2, 2), 0.8, (2.25, 2.25), (55.039058685302734, 33.789058685302734), (2, 2), 0.8, (2.25, 2.25),
    ),
    (
        ((62, 46, 0.7), (62, 45, 0.3)), 0,
        (46, 62), 0.7, (45.75, 62), (224.9609375, 267.1875), (46, 62), 0.7, (45.75, 62),
    ),
    (
        ((62, 47, 0.7), (62, 46, 0.3)), 0,
        (47, 62), 0.7, (47, 62), (229.84376525878906, 267.1875), (47, 62), 0.7, (47, 62),
    ),
    (((63, 46, 0.7),), 0, (46, 63), 0.7, (46, 63), (225.9375, 271.09375), (46, 63), 0.7, (46, 63)),
    (
        ((61, 45, 0.7), (61, 46, 0.1), (60, 45, 0.2)), 0,
        (45, 61), 0.7, (45.25, 60.75), (223.0078125, 262.3046875), (45, 61), 0.7, (45.25, 60.75),
    ),
    ((), 0, (0, 0), 0, (0, 0), (46.25, 25), (23.5, 31.5), 0, (23.5, 31.5)),
    (
        ((30, 24, -0.5),), -0.6,
        (0, 0), -0.5, (0, 0), (46.25, 25), (23.999820709228516, 30.000520706176758), -0.5,
        (23.999820709228516, 30.000520706176758),
    ),
    (
        ((20, 20, 0.6), (20, 40, 0.6)), 0,
        (20, 20), 0.6, (20, 20), (124.375, 103.125), (30, 20), 0, (30, 20),
    ),
    (
        ((40, 10, 0.6), (20, 40, 0.6)), 0,
        (40, 20), 0.6, (40, 20), (202.5, 103.125), (25, 30), 0, (25, 30),
    ),
    (((33, 24, 0.6),), 0, (24, 33), 0.6, (24, 33), (140, 153.90625), (24, 33), 0.6, (24, 33)),
]  # fmt: skip


def published_maps():
    """(1, 64, 48, 13)."""
    heat = np.zeros((1, 64, 48, len(PUBLISHED)), np.float32)
    for k, (cells, background, *_) in enumerate(PUBLISHED):
        heat[..., k] = background
        for row, column, value in cells:
            heat[0, row, column, k] = value
    return heat


def column(i):
    return np.array([row[i] for row in PUBLISHED], np.float32)


def test_argmax_is_the_published_one():
    found, plain = decode(published_maps(), ARGMAX)[0], decode(published_maps(), PLAIN)[0]

    np.testing.assert_array_equal(plain[:, :2], column(2))
    np.testing.assert_array_equal(found[:, 2], column(3))
    np.testing.assert_array_equal(found[:, :2], column(4))
    np.testing.assert_array_equal(plain[:, 2], found[:, 2])


def test_the_way_to_the_image_is_the_published_one():
    found = to_image(decode(published_maps(), ARGMAX), CENTRE, SCALE, (64, 48))[0]

    np.testing.assert_allclose(found[:, :2], column(5), atol=PX)
    np.testing.assert_array_equal(found[:, 2], column(3))


def test_softargmax_is_the_published_one():
    found, plain = (
        decode(published_maps(), SOFTARGMAX)[0],
        decode(published_maps(), replace(SOFTARGMAX, refine=None))[0],
    )

    np.testing.assert_allclose(plain[:, :2], column(6), atol=CELL)
    np.testing.assert_array_equal(found[:, 2], column(7))
    np.testing.assert_allclose(found[:, :2], column(8), atol=CELL)


@pytest.mark.parametrize("spec", [PLAIN, SOFTARGMAX, DARK, UDP, replace(SOFTARGMAX, beta=100.0)], ids=lambda s: s.name)
def test_another_decoder_would_be_seen(spec):
    wanted = column(8) if spec.beta == 100 else column(4)

    assert np.abs(decode(published_maps(), spec)[0, :, :2] - wanted).max() > 10 * CELL


def test_exchanged_axes_would_be_seen():
    found = decode(published_maps().transpose(0, 2, 1, 3), ARGMAX)[0]

    assert np.abs(found[:, :2] - column(4)).max() > 1
    np.testing.assert_array_equal(found[:8, :2], column(4)[:8, ::-1])


def test_the_bias_is_subtracted_in_the_image():
    points = decode(published_maps(), ARGMAX)
    biased = keypoints.decoder("softargmax-mpii")

    difference = to_image(points, CENTRE, SCALE, (64, 48)) - to_image(points, CENTRE, SCALE, (64, 48), biased)

    np.testing.assert_allclose(difference[..., :2], 1, atol=PX)
    np.testing.assert_array_equal(difference[..., 2], 0)


def test_a_udp_map_spans_the_box_from_corner_to_corner():
    corners = np.array([[[0, 0, 1], [47, 63, 1], [23.5, 31.5, 1]]])

    found = to_image(corners, CENTRE, SCALE, (64, 48), UDP, crops.UDP)[0, :, :2]

    np.testing.assert_allclose(found, [(46.25, 25), (233.75, 275), (140, 150)], atol=PX)


@pytest.mark.parametrize("convention", ["msra", "udp"])
def test_an_image_point_goes_to_its_cell_and_back(convention):
    rng, crop = np.random.default_rng(3), crops.CROPS[convention]
    centres, scales = crops.from_boxes(rng.uniform(50, 400, (5, 4)), SIZE, crop)
    points = np.concatenate([rng.uniform(30, 600, (5, 17, 2)), np.ones((5, 17, 1))], axis=-1)

    in_crops = crops.move(points, crops.matrix(centres, scales, 0, SIZE, crop))
    step = (191 / 47, 255 / 63, 1) if convention == "udp" else (4, 4, 1)
    back = to_image(in_crops / step, centres, scales, (64, 48), ARGMAX, crop)

    np.testing.assert_allclose(back, points, atol=1e-3)


@pytest.mark.parametrize("spec", KEYPOINTS.values(), ids=KEYPOINTS)
def test_nobody_gives_no_keypoints(spec):
    assert decode(np.zeros((0, 64, 48, 17), np.float32), spec).shape == (0, 17, 3)


def test_an_unknown_decoder_names_the_known_ones():
    assert keypoints.decoder("softargmax") == SOFTARGMAX
    with pytest.raises(UserError, match=r"softmax: unknown .did you mean softargmax.*choose one of argmax, "):
        keypoints.decoder("softmax")
