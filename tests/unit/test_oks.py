"""OKS between poses, suppression of doubles and rescoring, against the published numbers."""

from dataclasses import replace

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from shared import oks
from shared.oks import COCO17_SIGMAS, HARD, SOFT, SUPPRESSIONS, rescore, suppress

EXACT = 1e-12
POSES = np.array([[(7 * i + dx, 11 * i + dy) for i in range(17)] for dx, dy in ((0, 0), (3, 0), (10, -4), (60, 60))])
AREAS = np.array([12000.0, 12500, 9000, 11000])
SCORES = np.array([0.8, 0.85, 0.6, 0.4])
MATRIX = [  # HRNet's own
    [1.0, 0.9576769140703691, 0.626345990217641, 0.00013672698146260942],
    [0.9576769140703691, 1.0, 0.7439149508716548, 0.00022339730465791585],
    [0.626345990217641, 0.7439149508716548, 1.0, 9.366635160180867e-05],
    [0.00013672698146260942, 0.00022339730465791585, 9.366635160180867e-05, 1.0],
]


def kept(spec, scores=SCORES, poses=POSES, areas=AREAS):
    return suppress(poses, areas, scores, spec)[0].tolist()


def test_the_oks_is_the_published_one():
    np.testing.assert_allclose(oks.matrix(POSES, AREAS), MATRIX, atol=EXACT)


@pytest.mark.parametrize(
    ("poses", "areas", "sigmas"),
    [
        (POSES, AREAS[::-1], COCO17_SIGMAS),
        (POSES * 1.001, AREAS, COCO17_SIGMAS),
        (POSES, AREAS, np.full(17, COCO17_SIGMAS.mean())),
        (POSES, AREAS, COCO17_SIGMAS * 1.01),
        (POSES, AREAS * 1.25**2, COCO17_SIGMAS),
    ],
)
def test_another_area_sigma_or_pose_would_be_seen(poses, areas, sigmas):
    assert np.abs(oks.matrix(poses, areas, sigmas) - MATRIX).max() > 1e-4


def test_the_sigmas_are_cocos():
    np.testing.assert_allclose(COCO17_SIGMAS, Params(iouType="keypoints").kpt_oks_sigmas, atol=EXACT)


def test_each_keypoint_has_its_own_sigma():
    for k, sigma in ((0, 0.026), (11, 0.107), (16, 0.089)):
        poses = np.zeros((2, 17, 2))
        poses[1, k] = 6, 8

        found = oks.matrix(poses, np.full(2, 1e4))[0, 1]

        assert found == pytest.approx((16 + np.exp(-100 / (2 * 1e4 * (2 * sigma) ** 2))) / 17, abs=EXACT)


def test_scores_of_keypoints_do_not_matter_to_the_oks():
    scored = np.concatenate([POSES, np.random.default_rng(0).random((4, 17, 1))], axis=-1)

    np.testing.assert_array_equal(oks.matrix(scored, AREAS), oks.matrix(POSES, AREAS))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (HARD, [1, 2, 3]),
        (replace(HARD, threshold=0.5), [1, 3]),
        (SOFT, [1, 3, 2, 0]),
        (replace(SOFT, threshold=0.5), [1, 3, 2, 0]),
    ],
)
def test_the_published_poses_are_kept_in_their_order(spec, wanted):
    assert kept(spec) == wanted


def test_other_thresholds_and_scores_would_be_seen():
    assert kept(replace(HARD, threshold=0.96)) == [1, 0, 2, 3]
    assert kept(HARD, SCORES[::-1]) == [2, 3, 1]
    assert kept(SOFT, np.array([0.8, 0.85, 0.6, 0.1])) == [1, 2, 0, 3]


def test_of_equal_scores_the_last_is_the_first():
    assert kept(HARD, np.full(4, 0.5)) == [3, 2, 1]
    assert kept(SOFT, np.full(4, 0.5))[0] == 3


def test_soft_suppression_keeps_the_scores_unless_it_is_to_write_them():
    order, scores = suppress(POSES, AREAS, SCORES, SOFT)
    _, decayed = suppress(POSES, AREAS, SCORES, SUPPRESSIONS["soft-written"])

    np.testing.assert_array_equal(scores, SCORES[order])
    by_hand = [0.85, 0.4 * np.exp(-(MATRIX[1][3] ** 2) / 0.9)]
    np.testing.assert_allclose(decayed[:2], by_hand)
    assert (np.diff(decayed) < 0).all()
    assert (decayed[2:] < scores[2:]).all()


def test_soft_suppression_keeps_twenty():
    far = np.arange(30)[:, None, None] * 1000.0 + np.zeros((30, 17, 2))

    assert len(kept(SOFT, np.linspace(0, 1, 30), far, np.full(30, 1e4))) == 20
    assert len(kept(HARD, np.linspace(0, 1, 30), far, np.full(30, 1e4))) == 30


@pytest.mark.parametrize("spec", [HARD, SOFT])
def test_nobody_and_one_without_area(spec):
    assert kept(spec, np.zeros(0), np.zeros((0, 17, 3)), np.zeros(0)) == []
    assert kept(spec, np.ones(1), np.zeros((1, 17, 3)), np.zeros(1)) == [0]


def test_a_pose_is_scored_by_its_box_and_its_seen_keypoints():
    keypoints = np.array([0.9, 0.5, 0.2, 0.1999, 0.21, 0.0, -0.3] + [0.4] * 10)

    found = rescore(np.array([0.7, 0.7]), np.stack([keypoints, np.full(17, 0.2)]))

    np.testing.assert_allclose(found, [0.30207692307692313, 0], atol=EXACT)
    assert abs(rescore(np.array([0.7]), keypoints[None], 0.1999)[0] - found[0]) > 1e-3
