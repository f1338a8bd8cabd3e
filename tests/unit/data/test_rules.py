"""Named rules: main people, necks, visibility codes, splits; each original differs where it should, and only there."""

from itertools import pairwise

import numpy as np
import pytest

from shared.data.rules import (
    MAIN_PERSON,
    NECK,
    SPLITS,
    code_of,
    main_mask,
    main_people,
    neck,
    v_of,
    validation_images,
)
from shared.errors import UserError
from shared.skeleton import COCO17, COCO18


def mains(boxes, rule, n_keypoints=17, areas=5000.0, crowd=False):
    n = len(boxes)
    columns = (np.full(n, n_keypoints), np.full(n, areas), np.full(n, crowd))
    return main_people(np.array(boxes, float), *columns, MAIN_PERSON[rule])


def box(x, y, width, height):
    """A box around a point."""
    return [x - width / 2, y - height / 2, width, height]


@pytest.mark.parametrize(
    ("rule", "expected"), [*((name, [0, 4]) for name in MAIN_PERSON if name != "everyone"), ("everyone", [0, 1, 2, 4])]
)
def test_a_main_person_has_five_keypoints_and_a_large_segment(rule, expected):
    boxes = np.array([box(100 * k, 50, 40, 60) for k in range(5)])
    n_keypoints = np.array([5, 4, 17, 17, 17])
    areas = np.array([1024.0, 5000, 1023.9, 5000, 5000])
    crowd = np.array([False, False, False, True, False])

    assert main_people(boxes, n_keypoints, areas, crowd, MAIN_PERSON[rule]) == expected


def test_everyone_has_a_keypoint_and_a_segment():
    assert mains([box(0, 0, 9, 9)] * 2, "everyone", n_keypoints=1, areas=0.5) == [0, 1]
    assert mains([box(0, 0, 9, 9)], "everyone", n_keypoints=0) == []
    assert mains([box(0, 0, 9, 9)], "everyone", areas=0.0) == []


def test_a_person_close_to_an_earlier_main_person_is_none():
    tall = box(100, 100, 50, 200)

    assert mains([tall, box(159, 100, 50, 50)], "caffe") == [0]  # 59 < 0.3 * 200
    assert mains([tall, box(160, 100, 50, 50)], "caffe") == [0, 1]  # at the distance itself it is one
    assert mains([box(159, 100, 50, 50), tall], "caffe") == [0, 1]  # the earlier person's size counts


def test_only_main_people_keep_others_away():
    people = [box(0, 0, 100, 100), box(25, 0, 100, 100), box(50, 0, 100, 100)]

    assert mains(people, "caffe") == [0, 2]  # the second, which is none, is near the third


def test_kevinlin_measures_with_the_last_box_and_lightweight_with_the_width():
    people = [box(100, 100, 50, 200), box(150, 100, 50, 50)]  # 50 apart; limits 60, 15 (last), 15 (width)

    assert {rule: mains(people, rule) for rule in MAIN_PERSON} == {
        "caffe": [0], "keras": [0, 1], "lightweight": [0, 1], "everyone": [0, 1],
    }  # fmt: skip
    large_crowd = np.array([*people, [0, 0, 600, 400]], float)  # the last annotation, and no candidate
    n_keypoints, areas = np.array([9, 9, 0]), np.full(3, 9999.0)
    crowd = np.array([False, False, True])
    assert main_people(large_crowd, n_keypoints, areas, crowd, MAIN_PERSON["keras"]) == [0]
    assert main_people(large_crowd, n_keypoints, areas, crowd, MAIN_PERSON["lightweight"]) == [0, 1]


def test_a_box_without_height_has_no_scale_and_is_never_main():
    assert mains([box(0, 0, 100, 0), box(500, 0, 0, 100)], "caffe") == [1]
    assert main_people(np.zeros((0, 4)), *np.zeros((3, 0)), MAIN_PERSON["keras"]) == []


def one_by_one(boxes, n_keypoints, areas, crowd, starts, rule):
    """The rule as a loop over people, as the originals have it."""
    found = np.zeros(len(boxes), bool)
    for begin, end in pairwise(starts):
        accepted = []
        for p in range(begin, end):
            if n_keypoints[p] < rule.keypoints or areas[p] < rule.area or crowd[p]:
                continue
            centre = boxes[p, :2] + boxes[p, 2:] / 2
            far = True
            for k in accepted:
                size = {"box": max(boxes[k, 2:]), "width": boxes[k, 2], "last": max(boxes[end - 1, 2:])}[rule.size]
                far &= not np.linalg.norm(centre - boxes[k, :2] - boxes[k, 2:] / 2) < rule.distance * size
            if far:
                accepted.append(p)
        found[accepted] = True
    return found


@pytest.mark.parametrize("rule", MAIN_PERSON)
def test_all_images_at_once_are_as_one_by_one(rule):
    rng = np.random.default_rng(1)
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 9, 200))])
    n = starts[-1]
    boxes = np.column_stack([rng.uniform(0, 300, (n, 2)), rng.uniform(20, 300, (n, 2))])
    columns = boxes, rng.integers(0, 18, n), rng.uniform(0, 4000, n), rng.random(n) < 0.1

    expected = one_by_one(*columns, starts, MAIN_PERSON[rule])
    np.testing.assert_array_equal(main_mask(*columns, starts, MAIN_PERSON[rule]), expected)
    assert 50 < expected.sum() < n - 50
    others = [one_by_one(*columns, starts, other) for name, other in MAIN_PERSON.items() if name != rule]
    assert all((expected != other).any() for other in others)


def person(left, right):
    """A COCO person of whom only the shoulders are known: (x, y, v) each."""
    points = np.zeros((1, 17, 3), np.float32)
    points[0, COCO17.index("left_shoulder")] = left
    points[0, COCO17.index("right_shoulder")] = right
    return points


VISIBLE, HIDDEN, ABSENT = (10, 21, 2), (15, 30, 1), (0, 0, 0)
NECKS = {  # rule -> of two visible, visible and hidden, two hidden, visible and absent
    "paper": ((10, 21, 2), (12.5, 25.5, 1), (15, 30, 1), (0, 0, 0)),
    "keras": ((10, 21, 2), (12.5, 25.5, 1), (15, 30, 1), (0, 0, 0)),
    "caffe": ((10, 21, 2), (12.5, 25.5, 1), (15, 30, 1), (5, 10.5, 0)),
    "lightweight": ((10, 21, 2), (12.5, 25.5, 1), (15, 30, 1), (5, 10.5, 0)),
    "tensorboy": ((10, 21, 2), (12, 26, 2), (15, 30, 1), (0, 0, 0)),
}


@pytest.mark.parametrize("rule", NECK)
def test_the_neck_is_between_the_shoulders(rule):
    pairs = [(VISIBLE, VISIBLE), (VISIBLE, HIDDEN), (HIDDEN, HIDDEN), (VISIBLE, ABSENT)]
    people = np.concatenate([person(*pair) for pair in pairs])

    np.testing.assert_array_equal(neck(people, NECK[rule], (100, 100)), NECKS[rule])
    np.testing.assert_array_equal(neck(people[:0], NECK[rule], (100, 100)), np.zeros((0, 3)))


def test_the_papers_neck_is_the_skeletons():
    rng = np.random.default_rng(0)
    people = np.dstack([rng.uniform(-50, 700, (200, 17, 2)), rng.integers(0, 3, (200, 17))]).astype(np.float32)
    converted = COCO18.convert_from(COCO17, people)[:, COCO18.index("neck")]

    np.testing.assert_allclose(neck(people, NECK["paper"]), converted, rtol=1e-6)
    assert not np.allclose(neck(people, NECK["tensorboy"]), converted)


def test_lightweight_drops_a_neck_out_of_the_image():
    people = person((10, 90, 2), (20, 130, 2))  # the neck is at (15, 110)

    assert neck(people, NECK["lightweight"], (111, 16))[0, 2] == 2
    assert neck(people, NECK["lightweight"], (110, 16))[0, 2] == 0
    assert neck(people, NECK["lightweight"], (111, 15))[0, 2] == 0
    assert neck(people, NECK["paper"], (110, 16))[0, 2] == 2
    with pytest.raises(ValueError, match="size of the image"):
        neck(people, NECK["lightweight"])


def test_codes_and_v_mean_the_same_with_other_digits():
    assert code_of(np.array([0, 1, 2])).tolist() == [2, 0, 1]
    assert v_of(np.array([0.0, 1, 2, 3])).tolist() == [1, 2, 0, 0]
    assert v_of(code_of(np.array([[2, 1, 0]]))).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize(("function", "value"), [(code_of, 3), (v_of, 4), (v_of, -1), (v_of, 0.5), (v_of, np.nan)])
def test_a_digit_without_a_meaning_is_refused(function, value):
    with pytest.raises(UserError, match="expected a whole number from 0 to"):
        function(np.array([1, value]))


def test_the_splits_take_other_images():
    rng = np.random.default_rng(0)
    ids = rng.permutation(10_000)[:6000]
    annotated = rng.random(6000) < 0.5
    chosen = {name: validation_images(ids, annotated, split) for name, split in SPLITS.items()}

    assert {name: mask.sum() for name, mask in chosen.items()} == {
        "official": 6000, "zc": 2644, "kl": 2645, "anatolix": 2645,
    }  # fmt: skip
    assert np.flatnonzero(chosen["kl"]).tolist() == list(range(2645))
    assert sorted(ids[chosen["zc"]]) == sorted(ids[annotated])[:2644]
    assert (chosen["zc"] != chosen["kl"]).any()


def test_a_file_with_fewer_images_validates_whole():
    ids, annotated = np.array([5, 3, 9]), np.array([True, False, True])

    assert validation_images(ids, annotated, SPLITS["kl"]).tolist() == [True, True, True]
    assert validation_images(ids, annotated, SPLITS["zc"]).tolist() == [True, False, True]
