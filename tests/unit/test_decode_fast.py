"""The fast decoder: peaks between cells, limbs, people, and pieces that are joined."""

import numpy as np
import pytest

from shared import merging
from shared.codec import decoders, targets
from shared.codec.spec import DECODERS, STRIDE
from shared.fit import Fitted
from shared.skeleton import BODY25, COCO18, FACE70, HAND21, MPI15
from tests.unit.people import SIZE, crowd, drawn, part, people, person, poses, recovered, same

EXACT = 0.02  # px: a Gaussian's logarithm is a parabola, and float32 keeps it
CUT = 0.35  # px at the border, where the curvature is taken as drawn
PLACE = 0.5  # px in a crowd, where Gaussians of one kind are tens of px apart
SKELETONS = pytest.mark.parametrize("skeleton", [COCO18, MPI15, BODY25], ids=lambda s: s.name)


def one_peak(x, y, **changes):
    """Where a single nose at px (x, y) of maps of 20 x 30 cells is found."""
    points = np.zeros((1, 18, 3), np.float32)
    points[0, 0] = x, y, 2
    heat, paf = targets.encode(points, COCO18, (20, 30))
    (found,) = people({"heat": heat, "paf": paf}, min_keypoints=1, keep=0.0, **changes)
    return found[0, :2]


PLACES = np.random.default_rng(0).uniform((12, 12), (228, 148), (40, 2))


def test_a_peak_between_cells_is_found_where_it_was_drawn():
    off = np.array([one_peak(*place) - place for place in PLACES])

    assert np.abs(off).max() < EXACT


def test_without_refinement_it_is_found_at_the_middle_of_its_cell():
    off = np.array([one_peak(*place, refine=None) - place for place in PLACES])

    assert np.abs(off).max() <= STRIDE / 2
    assert np.abs(off).max() > 0.8 * STRIDE / 2


@pytest.mark.parametrize("place", [(0.5, 60.2), (5.0, 60.2), (237.9, 60.2), (120.7, 1.1), (120.7, 157.8), (1.0, 1.0)])
def test_a_peak_at_the_border_is_found_nearly_where_it_was_drawn(place):
    assert np.abs(one_peak(*place) - place).max() < CUT
    assert np.abs(one_peak(*place, refine=None) - place).max() > CUT


@SKELETONS
@pytest.mark.parametrize("n", [1, 3])
def test_drawn_people_come_back(skeleton, n):
    points = crowd(skeleton, n)

    assert recovered(people(drawn(skeleton, points), skeleton), points, PLACE)


def swapped_axes(maps, skeleton):
    return {**maps, "paf": maps["paf"][..., [channel ^ 1 for channel in range(skeleton.n_paf)]]}


def flipped_sign(maps, skeleton):
    return {**maps, "paf": -maps["paf"]}


def swapped_sides(maps, skeleton):
    return {**maps, "paf": maps["paf"][..., list(skeleton.paf_flip)]}


def swapped_keypoints(maps, skeleton):
    return {**maps, "heat": maps["heat"][..., list(skeleton.heat_flip)]}


@SKELETONS
@pytest.mark.parametrize("wrong", [swapped_axes, flipped_sign, swapped_sides, swapped_keypoints])
def test_with_wrong_channels_nobody_comes_back(skeleton, wrong):
    points = crowd(skeleton, 1)

    found = people(wrong(drawn(skeleton, points), skeleton), skeleton, join=None)

    assert not any(same(keypoints, truth, PLACE) for keypoints in found for truth in points)


def test_people_agree_with_the_reference_to_half_a_pixel():
    maps = drawn(COCO18, crowd(COCO18, 3))
    size = STRIDE * SIZE[0], STRIDE * SIZE[1]
    fitted = Fitted(np.zeros((*size, 3), np.float32), size, (0, 0), size, (1.0, 1.0), (0.0, 0.0))
    merged = merging.merge([fitted], [maps], [], size, "image", COCO18)
    theirs = [pose.keypoints for pose in decoders.run(merged, COCO18, DECODERS["reference"])]

    ours = people(maps)

    assert len(ours) == len(theirs) == 3
    away = []
    for keypoints in ours:
        (other,) = [each for each in theirs if same(each, keypoints, 2.0)]
        away.append(np.abs(keypoints[:, :2] - other[:, :2]))
    assert np.median(away) < 0.5  # on each axis; the reference's peaks are whole px of the enlarged map


def test_two_people_whose_limbs_cross_are_kept_apart():
    one, other = crowd(COCO18, 2)
    wrist, elbow = COCO18.index("left_wrist"), COCO18.index("left_elbow")
    other[:, 0] += one[1, 0] - other[1, 0] - 110  # so near that they touch
    reach = COCO18.index("right_wrist"), COCO18.index("right_elbow")
    other[wrist, :2] = one[reach[1], :2] + (30, 45)
    one[reach[0], :2] = other[elbow, :2] + (-30, 49)
    points = np.stack([one, other])

    assert recovered(people(drawn(COCO18, points)), points, PLACE)


HIDDEN = [("neck",), ("right_hip", "left_hip"), ("neck", "nose"), ("right_elbow", "left_knee")]


@pytest.mark.parametrize("without", HIDDEN, ids=" ".join)
def test_pieces_of_a_person_are_joined(without):
    points = np.stack([person(COCO18, x, without) for x in (117.6, 366.7)])
    maps = drawn(COCO18, points)

    assert recovered(people(maps), points, PLACE)
    assert len(people(maps, join=None)) > 2


UPPER = [name for name in COCO18.keypoints if not name.endswith(("hip", "knee", "ankle"))]
LOWER = [name for name in COCO18.keypoints if name.endswith(("hip", "knee", "ankle"))]
LEG = ["right_hip", "right_knee", "right_ankle"]


def test_pieces_that_no_body_has_are_not_joined():
    points = np.stack([part(117.6, UPPER), part(366.7, LOWER)])  # a body's length beside each other

    found = people(drawn(COCO18, points))

    assert recovered([each for each in found if each[0, 2] > 0], points[:1], PLACE)
    assert not any((each[:2, 2] > 0).any() and (each[8:14, 2] > 0).any() for each in found)


def test_where_the_body_is_they_are_joined():
    points = np.stack([part(117.6, UPPER), part(117.6, LOWER)])

    (found,) = people(drawn(COCO18, points))

    assert same(found, points.max(axis=0), PLACE)


def test_pieces_that_share_a_keypoint_are_not_joined():
    points = np.stack([part(117.6, [*UPPER, *LEG]), part(140.2, LEG)])  # a second right leg, near the first one

    found = people(drawn(COCO18, points))

    assert recovered(found, points, PLACE)


def test_a_weak_piece_is_thrown_away_and_one_high_peak_is_kept():
    heat, paf = targets.encode(np.stack([part(117.6, LEG), part(366.7, ["nose"])]), COCO18, SIZE)
    weak = {"heat": np.concatenate([heat[..., :-1] * [0.9 if k == 0 else 0.3 for k in range(18)], heat[..., -1:]], -1)}
    maps = {**weak, "paf": 0.3 * paf}

    (nose,) = people(maps)

    assert nose[0] == pytest.approx([*part(366.7, ["nose"])[0, :2], 0.9], abs=PLACE)
    assert len(people(maps, keep=0.0)) == 2  # three times 0.3 is less than 0.7 of the root of 3
    assert people(maps, min_keypoints=4) == []


def test_people_are_ranked_by_the_sum_or_the_mean_of_peaks_and_limbs():
    maps = drawn(COCO18, np.stack([person(COCO18, 117.6), part(366.7, LEG)]))

    whole, leg = sorted(poses(maps), key=lambda pose: -pose.found.sum())
    mean_whole, mean_leg = sorted(poses(maps, score="mean"), key=lambda pose: -pose.found.sum())

    assert whole.score == pytest.approx(18 + 19, rel=0.1)  # of 18 peaks and 19 limbs of about 1
    assert leg.score == pytest.approx(3 + 2, rel=0.1)
    assert (mean_whole.score, mean_leg.score) == pytest.approx((whole.score / 18, leg.score / 3))


@SKELETONS
def test_no_people_are_an_empty_list(skeleton):
    nobody = np.zeros((0, skeleton.n_keypoints, 3), np.float32)

    assert decoders.decode("fast", *targets.encode(nobody, skeleton, SIZE), skeleton) == []


@pytest.mark.parametrize("skeleton", [HAND21, FACE70], ids=lambda s: s.name)
def test_without_limbs_one_person_is_read_from_the_maxima(skeleton):
    heat = np.random.default_rng(0).random((9, 12, skeleton.n_heat), np.float32)

    (pose,) = decoders.decode("fast", heat, np.zeros((9, 12, 0), np.float32), skeleton)

    row, column = np.unravel_index(heat[..., 5].argmax(), (9, 12))
    np.testing.assert_allclose(pose.keypoints[5], (8 * column + 3.5, 8 * row + 3.5, heat[..., 5].max()), atol=1e-5)
