"""COCO's numbers, the losses of single images, and the results format."""

import copy
import json

import numpy as np
import pytest

from shared import coco_ap
from shared.errors import UserError
from shared.person import Pose
from shared.skeleton import BODY25, COCO17, COCO18, MPI15

IMAGES, PEOPLE = 6, 4  # people per image
FULL = 1 - 1e-9  # pycocotools divides by a count plus an epsilon
LAST_BIT = 1e-15  # of a mean that is summed in another order
RECALL_STEP = 0.01  # its precision is read at 101 recalls


@pytest.fixture(scope="module")
def annotations():
    """Upright people far from each other, of both of COCO's sizes, and an image without any."""
    rng = np.random.default_rng(0)
    entries = []
    for image in range(1, IMAGES):
        for person in range(PEOPLE):
            size = 60 if person % 2 else 150  # px; 60 x 60 is "medium", 150 x 150 "large"
            points = rng.uniform(0, size, (17, 2)) + np.array([200 * person, 10])
            keypoints = np.column_stack([points, np.full(17, 2)]).round(2)
            box = [200 * person, 10, size, size]
            entries.append(
                {
                    "id": len(entries), "image_id": image, "category_id": 1, "num_keypoints": 17, "iscrowd": 0,
                    "bbox": box, "area": size * size, "keypoints": keypoints.ravel().tolist(),
                }
            )  # fmt: skip
    images = [{"id": i, "file_name": f"{i}.png", "height": 200, "width": 900} for i in range(1, IMAGES + 1)]
    return {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "person"}]}


def predicted(annotations, change=lambda keypoints: keypoints, keep=lambda number: True):
    """The annotated people as predictions, changed; scores fall with the annotation's number."""
    found = []
    for number, entry in enumerate(annotations["annotations"]):
        if keep(number):
            keypoints = change(np.reshape(entry["keypoints"], (17, 3)))
            pose = Pose(keypoints.astype(np.float32), 1 - number / 100)
            found += coco_ap.results(entry["image_id"], [pose], COCO17)
    return found


def scored(annotations, predictions, ids=None):
    return coco_ap.score(predictions, annotations, ids or list(range(1, IMAGES + 1)))


def moved(pixels):
    """A function that moves keypoints to the right."""
    return lambda keypoints: keypoints + np.array([pixels, 0, 0])


def test_perfect_predictions_score_one_everywhere(annotations):
    """Also where an annotation has the id 0, which pycocotools itself takes for none."""
    assert annotations["annotations"][0]["id"] == 0

    numbers = scored(annotations, predicted(annotations))

    assert tuple(numbers) == coco_ap.NAMES
    assert min(numbers.values()) > FULL


def test_half_of_the_people_are_half_of_the_recall(annotations):
    numbers = scored(annotations, predicted(annotations, keep=lambda number: number % 4 < 2))

    assert numbers["AR"] == pytest.approx(0.5)
    assert numbers["AP"] == pytest.approx(0.5, abs=RECALL_STEP)


def test_only_large_people_leave_nothing_of_the_medium_ones(annotations):
    numbers = scored(annotations, predicted(annotations, keep=lambda number: number % 2 == 0))

    assert numbers["ARm"] == 0
    assert numbers["ARl"] == pytest.approx(1)


def test_people_cut_in_halves_score_less(annotations):
    """Each half holds at most 9 of 17 keypoints, so its OKS is near 0.5: only the lowest thresholds are met."""
    halves = [
        entry
        for part in (slice(0, 9), slice(9, 17))
        for entry in predicted(annotations, change=lambda keypoints, part=part: _only(keypoints, part))
    ]

    numbers = scored(annotations, halves)

    assert numbers["AR50"] > FULL
    assert numbers["AR75"] == 0
    assert numbers["AP"] < 0.15


def _only(keypoints, part):
    out = np.zeros_like(keypoints)
    out[part] = keypoints[part]
    return out


def test_left_and_right_swapped_score_less(annotations):
    numbers = scored(annotations, predicted(annotations, change=lambda keypoints: keypoints[list(COCO17.flip)]))

    assert numbers["AP"] < 0.1


def test_a_small_shift_costs_the_strict_thresholds_first(annotations):
    numbers = scored(annotations, predicted(annotations, change=moved(5)))

    assert numbers["APm"] < numbers["APl"]
    assert 0 < numbers["AP75"] < numbers["AP50"]


def test_invented_people_cost_precision_and_no_recall(annotations):
    invented = predicted(annotations, change=moved(3000))

    numbers = scored(annotations, predicted(annotations) + [{**p, "score": 2.0} for p in invented])

    assert numbers["AR"] > FULL
    assert numbers["AP"] == pytest.approx(0.5, abs=RECALL_STEP)


def test_without_predictions_all_is_zero_and_without_people_nothing_is_defined(annotations):
    assert set(scored(annotations, []).values()) == {0.0}
    assert set(scored(annotations, [], ids=[IMAGES]).values()) == {-1.0}


def test_only_the_images_asked_for_count(annotations):
    first = [p for p in predicted(annotations) if p["image_id"] == 1]

    assert scored(annotations, first, ids=[1])["AP"] > FULL
    assert scored(annotations, first)["AR"] == pytest.approx(1 / (IMAGES - 1))


def test_scoring_leaves_its_input_as_it_was(annotations):
    predictions = predicted(annotations)
    before = copy.deepcopy((annotations, predictions))

    scored(annotations, predictions)
    coco_ap.image_losses(predictions, annotations, [1, 2])

    assert (annotations, predictions) == before


def test_the_losses_of_images_count_missed_and_false_people(annotations):
    kept = predicted(annotations, keep=lambda number: number not in (0, 1, PEOPLE))  # two of image 1, one of image 2
    false = [{**kept[-1], "image_id": image, "score": 0.1} for image in (2, IMAGES)]

    losses = coco_ap.image_losses(kept + false, annotations, range(1, IMAGES + 1))

    assert losses == {1: 2, 2: 2, 3: 0, 4: 0, 5: 0, 6: 1}


def test_without_predictions_every_person_is_a_loss(annotations):
    assert coco_ap.image_losses([], annotations, [1, IMAGES]) == {1: PEOPLE, IMAGES: 0}


def test_crowds_and_people_without_keypoints_are_no_loss(annotations):
    changed = copy.deepcopy(annotations)
    changed["annotations"][0]["iscrowd"] = 1
    changed["annotations"][1] |= {"num_keypoints": 0, "keypoints": [0] * 51}

    assert coco_ap.image_losses([], changed, [1]) == {1: PEOPLE - 2}


def pose(skeleton, score=0.5, **found):
    keypoints = np.zeros((skeleton.n_keypoints, 3), np.float32)
    for name, point in found.items():
        keypoints[skeleton.index(name)] = (*point, 0.7)
    return Pose(keypoints, score)


def test_results_are_in_cocos_order_with_zeros_for_what_is_missing():
    given = pose(COCO18, 1.23456789, nose=(1.23456, 2), left_ankle=(30, 40), neck=(5, 6))

    (entry,) = coco_ap.results(12, [given], COCO18)

    expected = [0.0] * 51
    expected[:3], expected[45:48] = [1.235, 2, 0.7], [30, 40, 0.7]  # the nose is COCO's first, the left ankle its 16th
    assert entry == {"image_id": 12, "category_id": 1, "keypoints": expected, "score": 1.234568}
    assert json.loads(json.dumps(entry)) == entry


@pytest.mark.parametrize("skeleton", [COCO17, COCO18, BODY25])
def test_left_stays_left_in_every_skeleton(skeleton):
    given = pose(skeleton, left_wrist=(1, 2), right_wrist=(3, 4))

    (entry,) = coco_ap.results(1, [given], skeleton)

    assert entry["keypoints"][27:33] == [1, 2, 0.7, 3, 4, 0.7]


def test_a_keypoint_in_the_corner_is_found():
    (entry,) = coco_ap.results(1, [pose(COCO17, nose=(0, 0))], COCO17)

    assert entry["keypoints"][:3] == [0, 0, 0.7]


def test_a_keypoint_that_was_hardly_seen_is_found():
    faint = Pose(np.array([[1, 2, 1e-6], [3, 4, 0.0], *[[5, 6, 0.1234567]] * 15], np.float32), 1.0)

    (entry,) = coco_ap.results(1, [faint], COCO17)

    assert entry["keypoints"][:9] == [1, 2, 0.001, 0, 0, 0, 5, 6, 0.123]


@pytest.mark.parametrize("scorer", coco_ap.SCORERS)
def test_the_scores_of_keypoints_change_no_number(annotations, scorer):
    pytest.importorskip(coco_ap.SCORERS[scorer], reason="optional: requirements-dev.txt")
    ids = list(range(1, IMAGES + 1))
    predictions = noisy(annotations, np.random.default_rng(0))
    ones = copy.deepcopy(predictions)
    for entry in ones:
        entry["keypoints"][2::3] = [float(score > 0) for score in entry["keypoints"][2::3]]

    assert ones != predictions
    assert coco_ap.score(ones, annotations, ids, scorer) == coco_ap.score(predictions, annotations, ids, scorer)


def test_a_pose_without_cocos_keypoints_is_left_out():
    strange = pose(MPI15, head_top=(1, 2), chest=(3, 4))

    assert coco_ap.results(1, [strange, pose(MPI15, left_hip=(5, 6))], MPI15)[0]["keypoints"][33:36] == [5, 6, 0.7]
    assert coco_ap.results(1, [strange], MPI15) == []


def noisy(annotations, rng):
    """People moved, cut, left out and invented, with scores of which many are equal."""

    def change(keypoints):
        kept = rng.uniform(size=(17, 1)) < rng.uniform(0.3, 1)
        moved = keypoints + np.append(rng.normal(0, rng.uniform(1, 30), 2), 0)
        return kept * np.where([True, True, False], moved + rng.normal(0, 4, (17, 3)), keypoints)

    found = []
    for _ in range(3):
        found += predicted(annotations, change, keep=lambda number: rng.uniform() < 0.6)
    return [{**entry, "score": float(rng.integers(5)) / 4} for entry in found]


@pytest.mark.parametrize("seed", range(4))
def test_faster_coco_eval_gives_pycocotools_ten_numbers(annotations, seed):
    pytest.importorskip("faster_coco_eval", reason="optional: requirements-dev.txt")
    rng = np.random.default_rng(seed)
    changed = copy.deepcopy(annotations)
    for entry in changed["annotations"]:
        entry["iscrowd"] = int(rng.uniform() < 0.1)
        if rng.uniform() < 0.2:
            entry |= {"num_keypoints": 0, "keypoints": [0] * 51}
    predictions = noisy(annotations, rng)
    ids = rng.permutation(np.arange(1, IMAGES + 1)).tolist()[: IMAGES - seed]

    expected = coco_ap.score(predictions, changed, ids)

    equal = pytest.approx(expected, rel=0, abs=LAST_BIT)
    assert coco_ap.score(predictions, changed, ids, "faster-coco-eval") == equal
    assert len(set(expected.values())) > 5
    assert coco_ap.score(predictions[::2], changed, ids, "faster-coco-eval") != equal


def test_both_scorers_agree_without_predictions_and_without_people(annotations):
    pytest.importorskip("faster_coco_eval", reason="optional: requirements-dev.txt")
    for predictions, ids in (([], [1, 2]), ([], [IMAGES]), (predicted(annotations), [1])):
        numbers = coco_ap.score(predictions, annotations, ids, "faster-coco-eval")
        assert numbers == coco_ap.score(predictions, annotations, ids)


def test_an_unknown_or_missing_scorer_is_refused_in_one_line(annotations, monkeypatch):
    with pytest.raises(UserError, match="--scorer faster: unknown"):
        coco_ap.score([], annotations, [1], "faster")

    monkeypatch.setitem(coco_ap.SCORERS, "faster-coco-eval", "no_such_module")
    with pytest.raises(UserError, match="--scorer faster-coco-eval: is not installed here; run: pip install"):
        coco_ap.require("faster-coco-eval")
