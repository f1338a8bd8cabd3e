"""Limbs: where the field is read, what a pair scores, which pairs connect."""

from dataclasses import replace

import numpy as np
import pytest

from shared.codec import limbs
from shared.codec.spec import HL, OPENPOSE, REFERENCE, TENSORBOY

FLOAT = 1e-6


def field(vector=(1.0, 0.0), size=(40, 60)):
    return np.broadcast_to(np.array(vector, np.float32), (*size, 2)).copy()


def at(*points):
    return np.array([(x, y, 1.0) for x, y in points], np.float64).reshape(-1, 3)


def pair(start, end, paf, spec, cell=1):
    score, accepted = limbs.score_pairs(at(start), at(end), paf, spec, cell)
    return float(score[0, 0]), bool(accepted[0, 0])


@pytest.mark.parametrize("spec", [REFERENCE, HL, OPENPOSE])
def test_a_field_along_the_limb_scores_one(spec):
    score, accepted = pair((5, 10), (17, 10), field(), spec)

    assert score == pytest.approx(1.0, abs=FLOAT)
    assert accepted


def test_a_field_against_the_limb_is_refused():
    score, accepted = pair((17, 10), (5, 10), field(), REFERENCE)

    assert score == pytest.approx(-1.0, abs=FLOAT)
    assert not accepted


def test_long_limbs_are_punished_by_the_height_of_the_map():
    score, accepted = pair((5, 10), (55, 10), field(), REFERENCE)  # 50 px in a map 40 px high

    assert score == pytest.approx(1 + 0.5 * 40 / 50 - 1, abs=FLOAT)
    assert accepted
    assert pair((5, 10), (55, 10), field(), OPENPOSE)[0] == pytest.approx(1.0, abs=FLOAT)


def test_both_ends_are_sampled_and_positions_are_rounded_half_to_even():
    paf = field((0.0, 0.0))
    paf[10, [5, 7, 9, 11, 13, 15, 17, 19, 21]] = (1, 0)  # 5 + 2 i, but for the far end at 23

    nine = pair((5, 10), (23, 10), paf, REFERENCE)
    paf[10, 21] = 0
    eight = pair((5, 10), (23, 10), paf, REFERENCE)

    assert nine == (pytest.approx(0.9, abs=FLOAT), True), "nine of ten are more than 0.8"
    assert eight == (pytest.approx(0.8, abs=FLOAT), False), "eight of ten are not"


def test_tensorboy_leaves_the_far_end_out_and_needs_seven():
    paf = field((0.0, 0.0), size=(25, 20))  # high enough for the prior to be 0
    for cell in range(5, 12):
        paf[1, cell] = (1, 0)

    # 10 samples, 8 px apart, from the middle of cell 5: cells 5 to 14.
    score, accepted = pair((44, 12), (124, 12), paf, TENSORBOY, cell=8)

    assert (score, accepted) == (pytest.approx(0.7, abs=FLOAT), True)
    paf[1, 11] = 0
    assert not pair((44, 12), (124, 12), paf, TENSORBOY, cell=8)[1]


def test_rounding_half_up_and_half_to_even_differ():
    paf = field((0.0, 0.0))
    paf[10, ::2] = (1, 0)  # even columns only

    spec = replace(REFERENCE, samples=2, far_end=False)  # reads 2 and 2.5
    even = pair((2, 10), (3, 10), paf, spec)[0]
    half_up = pair((2, 10), (3, 10), paf, replace(spec, rounding="half_up"))[0]

    assert (even, half_up) == (1.0, 0.5)


@pytest.mark.parametrize(("length", "n"), [(1, 5), (12, 8), (20, 10), (45, 15), (500, 25)])
def test_openpose_samples_longer_limbs_more_often(length, n):
    step = np.array([[[length, 3.0 * (length > 3)]]])

    points, counted = limbs._points(np.zeros((1, 1, 2)), step, OPENPOSE)

    assert counted.sum() == n
    np.testing.assert_allclose(points[0, 0, : n - 1, 0], np.arange(n - 1) * length / n)


def test_each_pair_has_its_own_number_of_samples():
    paf = field()
    paf[:, 30:] = 0  # the long limb leaves the field halfway

    score, accepted = limbs.score_pairs(at((5, 10)), at((20, 10), (55, 10)), paf, OPENPOSE)

    np.testing.assert_allclose(score, [[1, 1]], atol=FLOAT)
    assert accepted.tolist() == [[True, False]]


def test_the_mean_is_over_all_or_over_passing_samples():
    paf = field((1.0, 0.0))
    paf[10, 5] = (-1, 0)

    everything = pair((5, 10), (23, 10), paf, REFERENCE)[0]
    passing = pair((5, 10), (23, 10), paf, replace(REFERENCE, mean="passing"))[0]

    assert everything == pytest.approx(0.8, abs=FLOAT)
    assert passing == pytest.approx(1.0, abs=FLOAT)


def test_openpose_connects_close_pairs_without_a_field():
    paf = field((0.0, 0.0), size=(300, 300))  # closer than 300 / 150 = 2 px

    assert pair((5, 10), (6.9, 10), paf, OPENPOSE) == (pytest.approx(0.05 + 1e-6), True)
    assert not pair((5, 10), (7.1, 10), paf, OPENPOSE)[1]
    assert not pair((5, 10), (6.9, 10), paf, replace(OPENPOSE, close_pairs=0.0))[1]
    assert pair((5, 10), (6.9, 10), field(size=(300, 300)), OPENPOSE)[0] == pytest.approx(1), "a field goes first"


@pytest.mark.parametrize("spec", [REFERENCE, HL, TENSORBOY, OPENPOSE])
def test_a_limb_without_length_is_no_limb(spec):
    assert not pair((5, 10), (5, 10), field(), spec)[1]


def test_the_best_pair_goes_first_and_nobody_is_used_twice():
    paf = field((0.0, 0.0))
    paf[10] = (1.0, 0)
    paf[20] = (0.5, 0)

    # Start 0 could reach both ends on its line; end 1 of the other line is left to start 1.
    found = limbs.connect(at((5, 10), (5, 20)), at((20, 20), (14, 10), (30, 10)), paf, REFERENCE)

    assert [(a, b) for a, b, _ in found] == [(0, 1), (1, 0)]


def test_of_equal_scores_the_first_in_raster_order_goes_first():
    found = limbs.connect(at((5, 10), (6, 10)), at((15, 10), (16, 10)), field(), REFERENCE)

    assert [(a, b) for a, b, _ in found] == [(0, 0), (1, 1)]


def test_without_peaks_there_are_no_connections():
    assert limbs.connect(at(), at((1, 1)), field(), REFERENCE) == []
    assert limbs.connect(at((1, 1)), at(), field(), REFERENCE) == []


def test_ends_outside_the_map_read_its_border():
    assert pair((-3, -3), (9, -3), field(), OPENPOSE) == (pytest.approx(1.0), True)
