"""The plain version of the targets is the same as the fast one, by every profile."""

import numpy as np
import pytest

from benchmarks import ceiling, data, plain
from shared.codec import targets
from shared.codec.targets import CAFFE, PAPER, TARGETS, encode, encode_batch
from shared.skeleton import COCO18

SIZE = (20, 14)
FLOAT = 1e-6  # float32 of values up to 1


def people():
    """Four people who overlap, leave the map, and lack keypoints; one has a limb without length."""
    points = np.random.default_rng(5).uniform(-20, 150, (4, 18, 3)).astype(np.float32)
    points[..., 2] = np.random.default_rng(6).integers(0, 3, (4, 18))
    points[1, :, :2] = points[0, :, :2] + 6
    points[2, 3] = points[2, 2]
    return points


@pytest.mark.parametrize("stride", [8, 4])
@pytest.mark.parametrize("name", TARGETS)
def test_plain_targets_are_those_of_the_profile(name, stride):
    spec = ceiling.strided(TARGETS[name], stride)

    for ours, plainly in zip(
        encode(people(), COCO18, SIZE, spec), plain.encode(people(), COCO18, SIZE, spec), strict=True
    ):
        assert np.abs(ours).max() > 0.9
        np.testing.assert_allclose(ours, plainly, atol=FLOAT)


def test_two_profiles_are_not_the_same():
    for ours, plainly in zip(
        encode(people(), COCO18, SIZE, CAFFE), plain.encode(people(), COCO18, SIZE, PAPER), strict=True
    ):
        assert np.abs(ours - plainly).max() > 0.1


def test_a_field_that_is_off_is_not_timed(monkeypatch):
    samples = [people()]
    data.check_equal(samples)
    monkeypatch.setattr(targets, "encode_batch", lambda *args: [field + 2e-5 for field in encode_batch(*args)])

    with pytest.raises(RuntimeError, match=r"heat is 2.* off the plain version"):
        data.check_equal(samples)
