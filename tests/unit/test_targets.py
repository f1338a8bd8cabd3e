"""The Gaussian and the PAF rasteriser against vectors computed by hand from the originals' rules."""

import numpy as np
import pytest

from shared.codec import gaussian, paf
from shared.codec.targets import CAFFE, KERAS, LIGHTWEIGHT, PAPER, TENSORBOY, encode
from shared.skeleton import COCO18

SIZE = (46, 46)


@pytest.mark.parametrize(("spec", "total"), [(CAFFE, 4.766990), (KERAS, 4.810564), (PAPER, 4.810564)])
def test_one_gaussian_has_the_published_values(spec, total):
    heat = gaussian.render(np.array([[100.0, 120.0]]), SIZE, spec)

    assert heat.sum() == pytest.approx(total, abs=2e-6)
    assert heat.max() == pytest.approx(0.880249, abs=1e-6)
    assert heat[14, 12] == pytest.approx(0.811246, abs=1e-6)
    assert heat[15, 12] == pytest.approx(0.880249, abs=1e-6)


def test_the_caffe_gaussian_ends_at_ln_100():
    assert (gaussian.render(np.array([[100.0, 120.0]]), SIZE, CAFFE) > 0).sum() == 23


@pytest.mark.parametrize(("spec", "total", "value"), [(CAFFE, 8.117426, 1.0), (KERAS, 6.494283, 0.811246)])
def test_two_gaussians_overlap_as_named(spec, total, value):
    heat = gaussian.render(np.array([[100.0, 120.0], [106.0, 120.0]]), SIZE, spec)

    assert heat.sum() == pytest.approx(total, abs=5e-6)
    assert heat[14, 12] == pytest.approx(value, abs=1e-6)


LIMBS = [((100, 100), (180, 140)), ((100, 100), (100, 180)), ((92, 60), (132, 60))]


@pytest.mark.parametrize(
    ("spec", "counts"),
    [(CAFFE, (24, 24, 14)), (KERAS, (22, 24, 8)), (LIGHTWEIGHT, (23, 12, 7))],
    ids=["caffe", "keras", "lightweight"],
)
def test_a_limb_covers_the_published_cells(spec, counts):
    for (start, end), n in zip(LIMBS, counts, strict=True):
        field = paf.render(np.array([start]), np.array([end]), SIZE, spec)

        assert (np.abs(field).sum(-1) > 0).sum() == n


def test_a_limb_holds_its_unit_vector_from_the_first_to_the_last_cell():
    field = paf.render(np.array([[100, 100]]), np.array([[180, 140]]), SIZE, CAFFE)
    rows, columns = np.nonzero(field[..., 0])

    assert (columns[0], rows[0], columns[-1], rows[-1]) == (12, 12, 23, 18)
    np.testing.assert_allclose(field[12, 12], [0.894427, 0.447214], atol=1e-6)


def test_a_limb_without_length_draws_nothing():
    assert not paf.render(np.array([[9.0, 9.0]]), np.array([[9.0, 9.0]]), SIZE, CAFFE).any()


def test_crossing_limbs_overwrite_or_average_as_named():
    starts, ends = np.array([[100, 100], [60, 140]]), np.array([[100, 180], [140, 140]])
    last = paf.render(starts, ends, SIZE, KERAS)
    average = paf.render(starts, ends, SIZE, TENSORBOY)

    np.testing.assert_allclose(last[17, 12], [1, 0])
    np.testing.assert_allclose(average[17, 12], [0.5, 0.5])


def test_encode_draws_every_known_keypoint_and_limb():
    points = np.zeros((1, 18, 3), np.float32)
    points[0, :3] = [[59.5, 59.5, 2], [59.5, 99.5, 1], [99.5, 99.5, 2]]  # nose, neck, right shoulder

    heat, field = encode(points, COCO18, SIZE, PAPER)

    assert heat.shape == (46, 46, 19)
    assert field.shape == (46, 46, 38)
    assert heat[7, 7, 0] == 1
    assert heat[7, 7, -1] == 0
    assert not heat[..., 3:18].any()
    drawn = {i // 2 for i in range(38) if field[..., i].any()}
    assert drawn == {COCO18.limbs.index((1, 2)), COCO18.limbs.index((1, 0))}
