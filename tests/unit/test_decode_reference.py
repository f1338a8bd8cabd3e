"""The reference decoder as a whole: drawn people come back, scores and places are as published, AP on real maps."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shared import coco_ap, merging
from shared.codec import decoders, reference, targets
from shared.codec.spec import DECODERS, HL, OPENPOSE, REFERENCE, TENSORBOY, Maps, decoder
from shared.fit import Fitted
from shared.skeleton import BODY25, COCO18, FACE70, HAND21, MPI15, Skeleton
from tests.unit import people
from tests.unit.people import COCO_MINI, SIZE, crowd, drawn, needs_coco_mini, person, stored

STRIDE = 8
# On each axis: 0.5 px, as peaks are whole px of the enlarged map, and 0.5 px, as OpenCV's cubic draws the maximum of a
# Gaussian that is known at every 8th px towards the nearest of these.
PLACE = 1.0
FLOAT = 1e-5


def decoded(name, maps, skeleton):
    """People from a network's maps by a profile, whose offset is taken off again."""
    height, width = (side * STRIDE for side in maps["heat"].shape[:2])
    fitted = Fitted(
        np.zeros((height, width, 3), np.float32), (height, width), (0, 0), (height, width), (1.0, 1.0), (0.0, 0.0)
    )
    spec = replace(decoder(name, skeleton.name), offset=0.0)
    merged = merging.merge([fitted], [maps], [], (height, width), spec.resolution, skeleton)
    return [pose.keypoints for pose in decoders.run(merged, skeleton, spec)]


def recovered(found, points):
    return people.recovered(found, points, PLACE)


SKELETONS = pytest.mark.parametrize("skeleton", [COCO18, MPI15, BODY25], ids=lambda s: s.name)
PROFILES = pytest.mark.parametrize("name", [name for name in DECODERS if name.startswith("reference")])


@SKELETONS
@PROFILES
@pytest.mark.parametrize("n", [1, 3])
def test_drawn_people_come_back(name, skeleton, n):
    points = crowd(skeleton, n)

    assert recovered(decoded(name, drawn(skeleton, points), skeleton), points)


@PROFILES
def test_people_come_back_from_the_caffe_s_targets(name):
    points = crowd(COCO18, 3)

    assert recovered(decoded(name, drawn(COCO18, points, targets.CAFFE), COCO18), points)


@PROFILES
def test_a_keypoint_that_was_not_drawn_is_zero(name):
    points = np.stack([person(COCO18, 117.6, without=("left_wrist", "right_ear")), person(COCO18, 610.1)])

    found = decoded(name, drawn(COCO18, points), COCO18)

    assert recovered(found, points)
    missing = [COCO18.index("left_wrist"), COCO18.index("right_ear")]
    assert min(abs(keypoints[missing]).max() for keypoints in found) == 0


@PROFILES
def test_no_people_are_an_empty_list(name):
    assert decoded(name, drawn(COCO18, np.zeros((0, 18, 3), np.float32)), COCO18) == []


def test_the_core_is_chosen_by_its_name(monkeypatch):
    monkeypatch.setitem(decoders.CORES, "other", lambda maps, skeleton, spec: [spec.core])

    assert decoders.run(Maps(np.zeros(0), np.zeros(0)), COCO18, replace(REFERENCE, core="other")) == ["other"]


def swapped_axes(maps, skeleton):
    order = [channel ^ 1 for channel in range(skeleton.n_paf)]
    return {**maps, "paf": maps["paf"][..., order]}


def flipped_sign(maps, skeleton):
    return {**maps, "paf": -maps["paf"]}


def swapped_sides(maps, skeleton):
    return {**maps, "paf": maps["paf"][..., list(skeleton.paf_flip)]}


def swapped_keypoints(maps, skeleton):
    return {**maps, "heat": maps["heat"][..., list(skeleton.heat_flip)]}


@SKELETONS
@PROFILES
@pytest.mark.parametrize("wrong", [swapped_axes, flipped_sign, swapped_sides, swapped_keypoints])
def test_with_wrong_channels_nobody_comes_back(name, skeleton, wrong):
    points = crowd(skeleton, 1)

    found = decoded(name, wrong(drawn(skeleton, points), skeleton), skeleton)

    assert not any(people.same(keypoints, truth, PLACE) for keypoints in found for truth in points)
    if wrong is flipped_sign:
        assert found == [], "no limb is left"


PAIR = Skeleton("pair", ("a", "b"), ((0, 1),), (0,))
PLAIN = replace(REFERENCE, smooth=0.0, min_keypoints=2)


def pair_maps(**changes):
    """Peaks of 0.75 and 0.5 at (5, 10) and (17, 10), and a field of 1 between them: a sum of 2.25."""
    heat, paf = np.zeros((40, 60, 3), np.float32), np.zeros((40, 60, 2), np.float32)
    heat[10, 5, 0], heat[10, 17, 1] = 0.75, 0.5
    paf[..., 0] = 1
    return Maps(heat, paf, **changes)


@pytest.mark.parametrize(
    ("spec", "rule", "score"),
    [(REFERENCE, "sum", 2.25), (HL, "sum_times_count", 4.5), (TENSORBOY, "one", 1.0), (OPENPOSE, "share", 0.75)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_person_s_score_is_the_published_one(spec, rule, score):
    assert spec.score == rule

    (pose,) = reference.decode(pair_maps(), PAIR, replace(PLAIN, score=rule))

    assert pose.score == pytest.approx(score, abs=FLOAT)
    np.testing.assert_allclose(pose.keypoints, [(5, 10, 0.75), (17, 10, 0.5)], atol=FLOAT)


@pytest.mark.parametrize(("spec", "offset"), [(REFERENCE, 0.0), (HL, 0.5), (TENSORBOY, 0.5), (OPENPOSE, 0.5)])
def test_the_offset_is_added_in_px_of_the_image(spec, offset):
    maps = pair_maps(to_image=(2.0, 3.0), shift=(0.25, -1.0))

    (pose,) = reference.decode(maps, PAIR, replace(PLAIN, offset=spec.offset))

    expected = np.array([(10.25, 29), (34.25, 29)]) + offset
    np.testing.assert_allclose(pose.keypoints[:, :2], expected, atol=FLOAT)


def test_a_missing_keypoint_stays_at_zero_with_an_offset():
    skeleton = Skeleton("three", ("a", "b", "c"), ((0, 1),), (0,))
    maps = pair_maps()
    heat = np.concatenate([maps.heat, maps.heat[..., 2:]], axis=-1)

    (pose,) = reference.decode(Maps(heat, maps.paf), skeleton, replace(PLAIN, offset=0.5))

    np.testing.assert_array_equal(pose.keypoints[2], 0)
    assert pose.found.tolist() == [True, True, False]


def test_decoding_by_name_uses_the_thresholds_of_the_skeleton():
    heat, paf = drawn(MPI15, crowd(MPI15, 1)).values()

    assert len(decoders.decode("reference-tensorboy", heat, paf, MPI15)) == 1
    # The same maps at less than the 0.6 that OpenPose asks of MPI's peaks, and more than the 0.05 of all others.
    assert decoder("reference-openpose", "mpi15").paf_threshold == 0.01
    assert decoders.decode("reference-openpose", 0.5 * heat, paf, MPI15) == []
    lower = replace(OPENPOSE, min_score=0.0)
    assert reference.decode(Maps(0.5 * heat, paf), MPI15, lower) != []


@PROFILES
@pytest.mark.parametrize("skeleton", [HAND21, FACE70], ids=lambda s: s.name)
def test_without_pafs_one_person_is_read_from_the_maxima(name, skeleton):
    rng = np.random.default_rng(3)
    points = np.ones((1, skeleton.n_keypoints, 3), np.float32)
    points[0, :, :2] = (
        rng.uniform(0, 1, (skeleton.n_keypoints, 2)) * (SIZE[1] * STRIDE - 30, SIZE[0] * STRIDE - 30) + 15
    )
    maps = drawn(skeleton, points)

    (found,) = decoded(name, {"heat": maps["heat"]}, skeleton)

    limit = STRIDE / 2 if DECODERS[name].resolution == "stride" else PLACE  # a cell's centre, without refinement
    assert np.abs(found[:, :2] - points[0, :, :2]).max() <= limit + FLOAT


def test_a_single_person_s_keypoints_are_cell_centres_at_stride_8():
    heat = np.zeros((6, 9, 22), np.float32)
    heat[..., 21] = 1  # the background is nobody's keypoint
    heat[2, 5, :21] = 0.5
    heat[4, 1, 7] = 0.9

    (pose,) = reference.decode(Maps(heat, np.zeros((6, 9, 0)), cell=8), HAND21, TENSORBOY)

    np.testing.assert_allclose(pose.keypoints[0], (8 * 5 + 3.5 + 0.5, 8 * 2 + 3.5 + 0.5, 0.5), atol=FLOAT)
    np.testing.assert_allclose(pose.keypoints[7], (8 * 1 + 3.5 + 0.5, 8 * 4 + 3.5 + 0.5, 0.9), atol=FLOAT)
    assert pose.score == pytest.approx((20 * 0.5 + 0.9) / 21, abs=FLOAT)


# `eval/run.py --framework onnx` of tf-pose-estimation's mobilenet_v2_small on the same pictures, with --fit tf.
AP = {"reference": 0.125, "reference-hl": 0.135, "reference-tensorboy": 0.096, "reference-openpose": 0.143}
AP_STEP = 0.002  # the maps are stored as float16


def average_precision(name, change=lambda maps, skeleton: maps):
    spec, predictions = DECODERS[name], []
    for image_id, fitted, maps, size in stored():
        merged = merging.merge([fitted], [change(maps, COCO18)], [], size, spec.resolution, COCO18)
        predictions += coco_ap.results(image_id, decoders.run(merged, COCO18, spec), COCO18)
    annotations = json.loads((COCO_MINI / "person_keypoints.json").read_text(encoding="utf-8"))
    return coco_ap.score(predictions, annotations, [entry[0] for entry in stored()])["AP"]


@needs_coco_mini
@pytest.mark.slow
@PROFILES
def test_real_maps_give_the_known_ap(name):
    assert average_precision(name) == pytest.approx(AP[name], abs=AP_STEP)


@needs_coco_mini
@pytest.mark.slow
@PROFILES
def test_real_maps_with_x_and_y_of_the_pafs_swapped_give_none(name):
    assert average_precision(name, swapped_axes) < 0.01
