"""Peaks: what counts as one in each profile, and where the refinements put it."""

from dataclasses import replace

import numpy as np
import pytest

from shared.codec import peaks
from shared.codec.spec import HL, OPENPOSE, REFERENCE, TENSORBOY

FLOAT32 = 1e-6
UNSMOOTHED = replace(REFERENCE, smooth=0)


def flat(*values, size=(12, 14)):
    """Zeros but for some (row, column, value)."""
    heat = np.zeros(size, np.float32)
    for row, column, value in values:
        heat[row, column] = value
    return heat


def bump(x, y, sigma=1.0, size=(12, 14)):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def places(heat, spec):
    return [(int(x), int(y)) for x, y, _ in peaks.find(heat, spec)]


def test_peaks_come_in_raster_order_with_their_scores():
    heat = flat((8, 2, 0.9), (3, 9, 0.4), (3, 4, 0.5))

    found = peaks.find(heat, UNSMOOTHED)

    np.testing.assert_allclose(found, [(4, 3, 0.5), (9, 3, 0.4), (2, 8, 0.9)], atol=FLOAT32)


@pytest.mark.parametrize("spec", [UNSMOOTHED, HL, TENSORBOY, OPENPOSE])
def test_a_peak_must_exceed_the_threshold(spec):
    threshold = np.float32(spec.peak_threshold)
    above = np.nextafter(threshold, np.float32(1)) + np.float32(1e-6)

    assert len(peaks.find(flat((5, 5, above)), spec)) == 1
    assert len(peaks.find(flat((5, 5, threshold - np.float32(1e-6))), spec)) == 0


def test_a_plateau_gives_several_peaks_but_not_to_openpose():
    heat = flat((5, 5, 0.8), (5, 6, 0.8))

    assert places(heat, UNSMOOTHED) == [(5, 5), (6, 5)]
    assert len(places(heat, HL)) == 2
    assert places(heat, OPENPOSE) == []


def test_a_larger_diagonal_neighbour_hides_a_peak_only_from_openpose():
    heat = flat((5, 5, 0.8), (6, 6, 0.9))

    assert places(heat, UNSMOOTHED) == [(5, 5), (6, 6)]
    assert len(peaks.find(heat, OPENPOSE)) == 1


def test_the_border_has_peaks_where_outside_is_zero_or_repeated():
    heat = flat((0, 0, 0.7), (5, 13, 0.6))

    assert places(heat, UNSMOOTHED) == [(0, 0), (13, 5)]
    assert len(peaks.find(heat, HL)) == 2


def test_openpose_has_a_rule_of_its_own_next_to_the_border():
    assert peaks.find(flat((0, 5, 0.9)), OPENPOSE).size == 0, "the border has no peaks"
    assert len(peaks.find(flat((1, 5, 0.9)), OPENPOSE)) == 1
    assert len(peaks.find(flat((1, 5, 0.9), (1, 6, 0.9)), OPENPOSE)) == 2, "there a plateau has peaks"
    assert len(peaks.find(flat((0, 1, 0.9)), OPENPOSE)) == 1, "that line reaches into the border"


def test_the_reference_seeks_in_the_smoothed_map_and_scores_in_the_other():
    heat = flat((5, 5, 20.0), (5, 8, 20.0))

    (peak,) = peaks.find(flat((5, 6, 30.0)), REFERENCE)
    twins = places(heat, REFERENCE)

    np.testing.assert_allclose(peak, (6, 5, 30.0))
    assert twins == [(6, 5), (7, 5)] or twins == [(6, 5)] or twins == [(7, 5)], "three px apart are one bump, sigma 3"


def plain_gaussian(heat, sigma, mode):
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = np.pad(heat.astype(np.float64), radius, mode=mode)
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, kernel, "valid")
    return padded


def test_smoothing_is_scipys_with_its_edge_mirrored():
    heat = np.random.default_rng(0).random((30, 41)).astype(np.float32)

    found = peaks.smoothed(heat, 3.0)

    np.testing.assert_allclose(found, plain_gaussian(heat, 3.0, "symmetric"), atol=FLOAT32)
    assert np.abs(found - plain_gaussian(heat, 3.0, "reflect")).max() > 1e-3, "the other mirror would be seen"


def test_hliu_moves_a_peak_to_the_largest_value_nearby():
    heat = flat((5, 5, 0.5), (6, 6, 0.6), (6, 7, 0.9))

    found = peaks.find(heat, HL)

    np.testing.assert_allclose(found, [(7, 6, 0.9), (7, 6, 0.9)], atol=FLOAT32)  # a duplicate, as in the original
    assert places(heat, replace(HL, refine=None)) == [(5, 5), (7, 6)]


def test_the_patch_stays_inside_the_map():
    np.testing.assert_allclose(peaks.find(flat((0, 0, 0.5), (11, 13, 0.6)), HL), [(0, 0, 0.5), (13, 11, 0.6)])


@pytest.mark.parametrize(("x", "y"), [(5.0, 4.0), (5.25, 4.0), (5.0, 4.375), (4.75, 6.125)])
def test_tensorboy_refines_to_an_eighth_of_a_cell(x, y):
    ((found_x, found_y, score),) = peaks.find(bump(x, y, sigma=0.875), TENSORBOY)

    # Cell g is centred on px 8 g + 3.5 of a map 8 times as large; whole px are half a px away from that.
    assert abs(found_x - (8 * x + 3.5)) <= 1.5
    assert abs(found_y - (8 * y + 3.5)) <= 1.5
    assert found_x == int(found_x)
    assert score == pytest.approx(1, abs=0.04)  # the height of the bump; its highest cell may have 0.91


def test_openpose_takes_the_centroid_of_seven_by_seven():
    heat = flat((5, 5, 0.6), (5, 8, 0.2), (2, 5, 0.2), (6, 6, -5.0))

    ((x, y, score),) = [peak for peak in peaks.find(heat, OPENPOSE) if peak[2] > 0.5]

    np.testing.assert_allclose((x, y), (5 + 3 * 0.2 / 1.0, 5 - 3 * 0.2 / 1.0), atol=FLOAT32)
    assert score == pytest.approx(0.6, abs=FLOAT32)


def test_only_the_first_peaks_are_kept_where_there_is_a_limit():
    heat = flat(*((row, column, 0.9) for row in (3, 6) for column in (3, 6, 9)))

    assert places(heat, replace(UNSMOOTHED, max_peaks=2)) == [(3, 3), (6, 3)]
    assert len(peaks.find(np.tile(bump(7, 7, size=(14, 14)), (12, 12)), OPENPOSE)) == OPENPOSE.max_peaks == 127


def test_an_empty_map_has_no_peaks():
    for spec in (REFERENCE, HL, TENSORBOY, OPENPOSE):
        assert peaks.find(np.zeros((5, 6), np.float32), spec).shape == (0, 3)
