"""Where the parts of a body are to each other: mirrored, antisymmetric, and silent about what is not known."""

import numpy as np
import pytest

from shared.codec.body import body
from shared.skeleton import BODY25, COCO18, MPI15

SKELETONS = pytest.mark.parametrize("skeleton", [COCO18, MPI15, BODY25], ids=lambda s: s.name)


@SKELETONS
def test_the_way_back_is_the_way_there_turned_round(skeleton):
    prior = body(skeleton)

    np.testing.assert_allclose(prior.mean, -prior.mean.transpose(1, 0, 2), atol=1e-12)
    for table in (prior.variance, prior.square, prior.spread):
        np.testing.assert_allclose(table, np.swapaxes(table, 0, 1))
    assert np.abs(prior.mean).max() > 0.5


@SKELETONS
def test_a_mirrored_body_is_a_body(skeleton):
    prior, flip = body(skeleton), np.array(skeleton.flip)
    mirrored = np.ix_(flip, flip)

    np.testing.assert_allclose(prior.mean[mirrored], prior.mean * (-1, 1), atol=1e-12)
    for table in (prior.variance, prior.square, prior.spread):
        np.testing.assert_allclose(table[mirrored], table)


def test_steps_along_the_body_add_up():
    prior = body(COCO18)
    neck, hip, knee = (COCO18.index(name) for name in ("neck", "right_hip", "right_knee"))

    np.testing.assert_allclose(prior.mean[neck, hip] + prior.mean[hip, knee], prior.mean[neck, knee])
    assert (prior.variance[neck, knee] > prior.variance[neck, hip]).all()
    assert prior.spread[neck, knee] > prior.spread[neck, hip]
    assert prior.mean[neck, knee, 1] > 0.6  # down in the image


@pytest.mark.parametrize(
    ("skeleton", "unknown"),
    [(COCO18, []), (MPI15, ["head_top", "upper_neck", "chest"]), (BODY25, ["left_big_toe", "right_heel"])],
    ids=lambda value: getattr(value, "name", ""),
)
def test_only_parts_of_no_known_place_say_nothing(skeleton, unknown):
    prior = body(skeleton)
    silent = (prior.spread + np.where(np.eye(skeleton.n_keypoints), 1e6, 0) >= 1e6).all(axis=1)

    assert {name for name, each in zip(skeleton.keypoints, silent, strict=True) if each} >= set(unknown)
    assert np.isinf(prior.square[silent]).all()
    assert not silent[[k for k, name in enumerate(skeleton.keypoints) if name.endswith(("hip", "knee", "wrist"))]].any()


def test_skeletons_agree_by_name():
    for one, other in (("right_knee", "left_ear"), ("neck", "nose"), ("left_wrist", "right_wrist")):
        first, second = (body(s).mean[s.index(one), s.index(other)] for s in (COCO18, BODY25))
        np.testing.assert_array_equal(first, second)
