"""Which rows are people: enough keypoints, enough score, and OpenPose's rule about feet."""

from dataclasses import replace

import pytest

from shared.codec import reference
from shared.codec.assembly import EMPTY, Row
from shared.codec.spec import HL, OPENPOSE, REFERENCE, TENSORBOY
from shared.skeleton import BODY25, COCO18

FEET = range(19, 25)


def person(n_body, n_feet=0, mean=1.0, skeleton=BODY25):
    """A row of the first `n_body` keypoints and the first `n_feet` of the feet."""
    slots = [EMPTY] * skeleton.n_keypoints
    for k in (*range(n_body), *FEET[:n_feet]):
        slots[k] = k
    return Row(slots, mean * (n_body + n_feet), n_body + n_feet)


def kept(people, spec, skeleton=BODY25):
    return [people.index(row) for row in reference.prune(people, skeleton, spec)]


@pytest.mark.parametrize(("spec", "count", "score"), [(REFERENCE, 4, 0.4), (HL, 3, 0.2), (TENSORBOY, 4, 0.3)])
def test_people_with_too_few_keypoints_or_too_little_score_are_left_out(spec, count, score):
    people = [
        person(count - 1, skeleton=COCO18),
        person(count, skeleton=COCO18),
        person(10, mean=score - 1e-6, skeleton=COCO18),
        person(10, mean=score + 1e-6, skeleton=COCO18),
    ]

    assert kept(people, spec, COCO18) == [1, 3]


def test_the_count_that_is_pruned_by_is_the_row_s_own():
    row = Row([EMPTY] * 18, 4.0, 4)  # as overwriting leaves it: more is counted than is there

    assert kept([row], REFERENCE, COCO18) == [0]


def test_feet_need_five_other_keypoints():
    people = [person(5, 1), person(4, 1), person(4, 0), person(3, 0), person(2, 0), person(2, 6)]

    assert kept(people, OPENPOSE) == [0, 2, 3]
    assert kept(people, replace(OPENPOSE, foot_rule=False)) == [0, 1, 2, 3, 5]


def test_feet_count_in_the_score_but_not_in_what_divides_it():
    alone = person(10, 0)
    without = Row(person(6, 4).slots, 0.4 * 6 + 1e-6, 10)  # 0.24 of ten, 0.4 of six

    assert kept([alone, without], OPENPOSE) == [0, 1]
    assert kept([alone, without], replace(OPENPOSE, foot_rule=False)) == [0]


def test_where_nobody_survives_the_foot_rule_openpose_tries_again_without_it():
    people = [person(4, 1), person(2, 0), person(0, 6)]

    assert kept(people, OPENPOSE) == [0, 2]


def test_the_foot_rule_changes_nothing_without_feet():
    people = [person(n, skeleton=COCO18) for n in (2, 3, 4)]

    assert kept(people, OPENPOSE, COCO18) == [1, 2]
