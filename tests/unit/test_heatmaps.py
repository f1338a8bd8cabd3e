"""Heatmaps of crops: the published values, their quirks, and plain loops as the reference."""

import math
from dataclasses import replace

import numpy as np
import pytest

from shared.codec import heatmaps
from shared.codec.heatmaps import COCO_JOINT_WEIGHTS, DARK, HEATMAPS, MSRA, UDP, encode
from shared.errors import UserError

SIZE = (256, 192)  # height, width
FLOAT = 1.5e-7  # two roundings of float32 at 1
MASS = 3e-6  # of the sums of 169 such values

PUBLISHED = [  # x, y of the crop, cell, weight, sum, largest, cells above 0: HRNet's own, sigma 2
    (96, 128, (24, 32), 1, 25.081291134294588, 1.0, 169),
    (0, 0, (0, 0), 1, 9.024384018688579, 1.0, 49),
    (-1, 5, (0, 1), 1, 11.675458787663956, 1.0, 56),
    (-1.99, 5, (0, 1), 1, 11.675458787663956, 1.0, 56),
    (-2.01, 5, (0, 1), 1, 11.675458787663956, 1.0, 56),
    (-3.99, 5, (0, 1), 1, 11.675458787663956, 1.0, 56),
    (1.99, 2.0, (0, 1), 1, 11.675458787663956, 1.0, 56),
    (2.01, 5.99, (1, 1), 1, 15.105334342180868, 1.0, 64),
    (191, 255, (48, 64), 1, 4.016261548458715, 0.7788007855415344, 36),
    (191.9, 255.9, (48, 64), 1, 4.016261548458715, 0.7788007855415344, 36),
    (214, 128, (54, 32), 0, 0.0, 0.0, 0),
    (213.9, 128, (53, 32), 1, 0.05563521440490149, 0.011108996346592903, 13),
    (-28, 128, (-6, 32), 1, 0.05563521440490149, 0.011108996346592903, 13),
    (-27, 128, (-6, 32), 1, 0.05563521440490149, 0.011108996346592903, 13),
    (-30, 128, (-7, 32), 1, 0.0, 0.0, 0),  # an empty map that counts
    (96, 283, (24, 71), 0, 0.0, 0.0, 0),
    (96, 277.9, (24, 69), 1, 0.05563521440490149, 0.011108996346592903, 13),
]


def one(x, y, spec, size=SIZE, v=1.0):
    """The map (h, w) and the weight of one keypoint."""
    heat, weight = encode(np.array([[[x, y, v]]]), size, spec)
    return heat[0, ..., 0], weight[0, 0]


def summary(heat):
    return heat.sum(dtype=np.float64), heat.max(), (heat > 0).sum()


@pytest.mark.parametrize(("x", "y", "cell", "weight", "total", "largest", "n"), PUBLISHED)
def test_a_heatmap_has_the_published_values(x, y, cell, weight, total, largest, n):
    heat, found = one(x, y, MSRA)

    assert found == weight
    assert heat.sum(dtype=np.float64) == pytest.approx(total, abs=MASS)
    assert heat.max() == pytest.approx(largest, abs=FLOAT)
    assert (heat > 0).sum() == n
    if largest == 1:
        assert heat[cell[1], cell[0]] == 1


@pytest.mark.parametrize(
    ("x", "y", "size", "changes"),
    [
        (96, 128, SIZE, {"sigma": 3.0}),
        (128, 96, (192, 256), {"window": False}),
        (1.99, 2.0, SIZE, {"rounded": False}),
        (-7.9, 5, SIZE, {}),  # what rounding downwards would make of -3.99
        (5, -3.99, SIZE, {}),  # axes exchanged
        (2.01 + 4, 5.99, SIZE, {}),  # a cell off
    ],
)
def test_other_rules_would_be_seen(x, y, size, changes):
    heat, weight = one(x, y, replace(MSRA, **changes), size)
    alike = [
        row for row in PUBLISHED
        if weight == row[3] and summary(heat) == pytest.approx(row[4:], abs=MASS)
        and (row[5] < 1 or heat[row[2][1], row[2][0]] == 1)
    ]  # fmt: skip

    assert not alike


def plain(points, size, spec):
    """Heat (h, w, K) in float64 and the weights (K,), cell by cell, as the definitions are written."""
    h, w = size[0] // spec.stride, size[1] // spec.stride
    heat, weights = np.zeros((h, w, len(points))), np.zeros(len(points))
    reach = int(3 * spec.sigma)
    for k, (x, y, v) in enumerate(points):
        if spec.aligned:
            x, y = x * (w - 1) / (size[1] - 1), y * (h - 1) / (size[0] - 1)
        else:
            x, y = x / spec.stride, y / spec.stride
        nearest = int(x + 0.5), int(y + 0.5)
        a, b = nearest if spec.window else (x, y)
        if v <= 0 or a - reach >= w or b - reach >= h or a + reach + 1 < 0 or b + reach + 1 < 0:
            continue
        weights[k] = 1
        x, y = nearest if spec.rounded else (x, y)
        for row in range(h):
            for column in range(w):
                if not spec.window or (abs(column - nearest[0]) <= reach and abs(row - nearest[1]) <= reach):
                    heat[row, column, k] = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * spec.sigma**2))
    return heat, weights


def scattered(n, k=17, seed=0, size=SIZE):
    """Points in and around crops, some of them not annotated."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-40, np.array(size[::-1]) + 40, (n, k, 2))
    return np.concatenate([xy, rng.integers(0, 3, (n, k, 1))], axis=-1).astype(np.float32)


@pytest.mark.parametrize("sigma", [2.0, 3.0])
@pytest.mark.parametrize("name", HEATMAPS)
def test_a_batch_is_its_definition_cell_by_cell(name, sigma):
    spec, size = replace(HEATMAPS[name], sigma=sigma), (128, 96)
    points = scattered(3, size=size)

    heat, weight = encode(points, size, spec)

    assert heat.shape == (3, 32, 24, 17)
    assert heat.dtype == weight.dtype == np.float32
    assert 0 < weight.mean() < 1
    for n in range(3):
        wanted = plain(points[n].astype(np.float64), size, spec)
        np.testing.assert_allclose(heat[n], wanted[0], atol=FLOAT)
        np.testing.assert_array_equal(weight[n], wanted[1])


@pytest.mark.parametrize(("name", "other"), [("msra", "udp"), ("udp", "dark"), ("dark", "msra")])
def test_the_definitions_differ(name, other):
    points = scattered(1)

    assert np.abs(encode(points, SIZE, HEATMAPS[name])[0] - encode(points, SIZE, HEATMAPS[other])[0]).max() > 1e-3


def test_dark_and_udp_are_centred_between_cells():
    x, y = 4 * 20.25, 4 * 30.5

    dark, _ = one(x, y, DARK)
    udp, _ = one(20.25 * 191 / 47, 30.5 * 255 / 63, UDP)

    for heat in (dark, udp):
        assert heat[30, 20] == pytest.approx(math.exp(-(0.25**2 + 0.5**2) / 8), abs=FLOAT)
        assert heat[30, 20] == pytest.approx(heat[31, 20], abs=FLOAT)
    assert (dark > 0).sum() > 13**2
    assert (udp > 0).sum() == 13**2


def test_udp_has_its_first_and_last_cells_on_the_corners():
    assert one(0, 0, UDP)[0][0, 0] == 1
    assert one(191, 255, UDP)[0][63, 47] == 1
    assert one(191, 255, MSRA)[0].max() < 1


def test_a_keypoint_counts_by_being_annotated_not_by_how_well_it_is_seen():
    assert one(96, 128, MSRA, v=2)[1] == one(96, 128, MSRA, v=1)[1] == 1
    heat, weight = one(96, 128, MSRA, v=0)
    assert weight == 0
    assert not heat.any()


def test_joint_weights_weigh_the_loss_and_not_the_map():
    points = scattered(4)
    plain_heat, plain_weight = encode(points, SIZE, MSRA)

    heat, weight = encode(points, SIZE, replace(MSRA, joint_weights=COCO_JOINT_WEIGHTS))

    np.testing.assert_array_equal(heat, plain_heat)
    np.testing.assert_array_equal(weight, plain_weight * np.float32(COCO_JOINT_WEIGHTS))
    assert weight.max() == 1.5


@pytest.mark.parametrize("spec", HEATMAPS.values(), ids=HEATMAPS)
def test_a_keypoint_that_is_no_number_or_far_away_draws_nothing(spec):
    for x in (np.nan, np.inf, 1e30, -1e30):
        heat, weight = one(x, 9.0, spec)

        assert weight == 0
        assert not heat.any()


def test_nobody_gives_no_maps():
    heat, weight = encode(np.zeros((0, 17, 3)), SIZE)

    assert heat.shape == (0, 64, 48, 17)
    assert weight.shape == (0, 17)


def test_the_size_brings_the_sigma():
    sizes = [(256, 192), (256, 256), (384, 288)]
    assert [heatmaps.published_sigma(size) for size in sizes] == [2.0, 2.0, 3.0]


def test_a_crop_has_to_be_whole_cells():
    with pytest.raises(UserError, match=r"a crop of 250x192 px .*; expected multiples of 4"):
        encode(scattered(1), (250, 192))
