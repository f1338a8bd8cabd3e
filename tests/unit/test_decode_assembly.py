"""People from connections: rows that start, grow, merge and overwrite.

All scores are powers of two, so that a row's sum says what was added, and exactly.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from shared.codec.assembly import EMPTY, Peaks, assemble
from shared.codec.spec import HL, OPENPOSE, REFERENCE, TENSORBOY
from shared.skeleton import Skeleton

LIMBS = {"ab": (0, 1), "bc": (1, 2), "ac": (0, 2), "ed": (4, 3), "cd": (2, 3)}
# Two peaks of a, b and c, one of d and e, numbered 0 to 7; peak i scores 2 ** i.
A0, A1, B0, B1, C0, C1, D0, E0 = range(8)
COUNTS = (2, 2, 2, 1, 1)
AB, BC, AC, ED, CD = 0.5, 0.25, 0.125, 0.0625, 0.03125  # the limbs' scores


def rows(spec, connections, fill=(), counts=COUNTS):
    """Rows as (slots of a, b, c, d, e; score; count) from {limb: [(start, end, score)]}, in the dict's order."""
    order = tuple(list(LIMBS).index(limb) for limb in connections)
    filling = tuple(list(LIMBS).index(limb) for limb in fill)
    skeleton = Skeleton("loop", tuple("abcde"), tuple(LIMBS.values()), order, filling)
    firsts = np.cumsum([0, *counts]).tolist()
    peaks = Peaks([range(*ends) for ends in pairwise(firsts)], 2.0 ** np.arange(firsts[-1]))
    return [(*row.slots, row.score, row.count) for row in assemble(list(connections.values()), peaks, skeleton, spec)]


def total(*peaks):
    return float(sum(2**peak for peak in peaks))


def test_a_limb_starts_a_row_and_the_next_limb_extends_it():
    found = rows(REFERENCE, {"ab": [(A0, B0, AB)], "bc": [(B0, C1, BC)]})

    assert found == [(A0, B0, C1, EMPTY, EMPTY, total(A0, B0, C1) + AB + BC, 3)]


def test_two_people_stay_apart():
    found = rows(REFERENCE, {"ab": [(A0, B1, AB), (A1, B0, AB)], "bc": [(B0, C0, BC), (B1, C1, BC)]})

    assert found == [
        (A0, B1, C1, EMPTY, EMPTY, total(A0, B1, C1) + AB + BC, 3),
        (A1, B0, C0, EMPTY, EMPTY, total(A1, B0, C0) + AB + BC, 3),
    ]


def test_a_limb_that_closes_a_loop_adds_nothing():
    found = rows(REFERENCE, {"ab": [(A0, B0, AB)], "bc": [(B0, C0, BC)], "ac": [(A0, C0, AC)]})

    assert found == [(A0, B0, C0, EMPTY, EMPTY, total(A0, B0, C0) + AB + BC, 3)]


def test_a_row_that_holds_the_end_does_not_take_the_start():
    found = rows(REFERENCE, {"bc": [(B0, C0, BC)], "ac": [(A0, C0, AC)]})

    assert found == [(EMPTY, B0, C0, EMPTY, EMPTY, total(B0, C0) + BC, 2)]


def test_a_limb_between_two_rows_merges_them():
    found = rows(REFERENCE, {"ab": [(A0, B1, AB)], "ed": [(E0, D0, ED)], "bc": [(B1, C0, BC)], "cd": [(C0, D0, CD)]})

    assert found == [(A0, B1, C0, D0, E0, total(A0, B1, C0, D0, E0) + AB + ED + BC + CD, 5)]


OVERWRITING = {"ab": [(A0, B0, AB)], "bc": [(B0, C0, BC)], "ac": [(A0, C1, AC)]}


def test_a_taken_slot_is_overwritten_and_counted_again_as_published():
    found = rows(REFERENCE, OVERWRITING)

    assert found == [(A0, B0, C1, EMPTY, EMPTY, total(A0, B0, C0, C1) + AB + BC + AC, 4)]


def test_without_overwriting_a_taken_slot_stays():
    found = rows(replace(REFERENCE, overwrite=False), OVERWRITING)

    assert found == [(A0, B0, C0, EMPTY, EMPTY, total(A0, B0, C0) + AB + BC, 3)]


TWO_TRIANGLES = {"ab": [(A0, B0, AB), (A1, B1, AB)], "bc": [(B0, C0, BC), (B1, C1, BC)]}
SECOND = (A1, B1, C1, EMPTY, EMPTY, total(A1, B1, C1) + AB + BC, 3)


def test_rows_that_share_a_keypoint_do_not_merge_and_the_first_takes_the_end():
    found = rows(REFERENCE, {**TWO_TRIANGLES, "ac": [(A0, C1, AC)]})

    assert found == [(A0, B0, C1, EMPTY, EMPTY, total(A0, B0, C0, C1) + AB + BC + AC, 4), SECOND]


def test_of_rows_that_share_a_keypoint_the_first_counts_its_own_end_twice():
    crossing = {**TWO_TRIANGLES, "ac": [(A1, C0, AC)]}

    once = (A0, B0, C0, EMPTY, EMPTY, total(A0, B0, C0) + AB + BC, 3)
    assert rows(REFERENCE, crossing) == [(*once[:5], once[5] + total(C0) + AC, 4), SECOND]
    assert rows(replace(REFERENCE, overwrite=False), crossing) == [once, SECOND]


# The limb "ac" puts c1 into both triangles; then "cd" touches these and the row of e and d.
THREE = {**TWO_TRIANGLES, "ac": [(A0, C1, AC)], "ed": [(E0, D0, ED)], "cd": [(C1, D0, CD)]}
THIRD = (EMPTY, EMPTY, EMPTY, D0, E0, total(D0, E0) + ED, 2)


def test_a_limb_that_touches_three_rows_deals_with_the_first_two():
    score = total(A0, B0, C0, C1) + AB + BC + AC

    assert rows(REFERENCE, THREE) == [(A0, B0, C1, D0, EMPTY, score + total(D0) + CD, 5), SECOND, THIRD]


def test_tensorboy_leaves_out_a_limb_that_touches_three_rows():
    assert TENSORBOY.three_rows == "skip"
    found = rows(replace(REFERENCE, three_rows="skip"), THREE)

    assert found == [(A0, B0, C1, EMPTY, EMPTY, total(A0, B0, C0, C1) + AB + BC + AC, 4), SECOND, THIRD]


def test_the_first_peak_of_all_is_no_obstacle_to_a_merge_in_tensorboy():
    both_have_an_a = {"ab": [(A0, B0, AB)], "ac": [(A1, C0, AC)], "bc": [(B0, C0, BC)]}

    apart = rows(REFERENCE, both_have_an_a)
    merged = rows(replace(REFERENCE, zero_is_empty=True), both_have_an_a)

    assert apart == [
        (A0, B0, C0, EMPTY, EMPTY, total(A0, B0, C0) + AB + BC, 3),
        (A1, EMPTY, C0, EMPTY, EMPTY, total(A1, C0) + AC, 2),
    ]
    # Numbers are added, with 1 more as -1 is empty: peaks 0 and 1 become peak 2, of another kind.
    assert merged == [(2, B0, C0, EMPTY, EMPTY, total(A0, B0, A1, C0) + AB + AC + BC, 4)]


def test_any_other_shared_keypoint_is_an_obstacle_in_tensorboy():
    both_have_an_a_and_a_b = {"ab": [(A0, B0, AB), (A1, B1, AB)], "bc": [(B0, C0, BC)], "ac": [(A1, C0, AC)]}

    found = rows(replace(REFERENCE, zero_is_empty=True), both_have_an_a_and_a_b)

    assert found == rows(REFERENCE, both_have_an_a_and_a_b)
    assert len(found) == 2


def test_the_first_peak_survives_a_merge_with_an_empty_slot():
    joined = {"ab": [(A0, B0, AB)], "ed": [(E0, D0, ED)], "bc": [(B0, C0, BC)], "cd": [(C0, D0, CD)]}

    assert rows(replace(REFERENCE, zero_is_empty=True), joined) == rows(REFERENCE, joined)


@pytest.mark.parametrize(("create", "in_the_middle", "at_the_end"), [("body", 0, 0), ("all", 1, 1), ("not_last", 1, 0)])
def test_which_limbs_start_a_person(create, in_the_middle, at_the_end):
    spec = replace(REFERENCE, create=create)

    assert len(rows(spec, {"ab": [(A0, B0, AB)], "cd": []}, fill=("ab",))) == in_the_middle
    assert len(rows(spec, {"cd": [], "ab": [(A0, B0, AB)]}, fill=("ab",))) == at_the_end
    assert len(rows(spec, {"ab": [(A0, B0, AB)], "cd": []})) == 1


def test_each_profile_starts_people_as_published():
    assert (REFERENCE.create, HL.create, TENSORBOY.create) == ("body", "all", "not_last")


def test_a_fill_limb_of_the_python_decoders_extends_and_counts_like_any_other():
    found = rows(REFERENCE, {"ab": [(A0, B0, AB)], "bc": [(B0, C0, BC)]}, fill=("bc",))

    assert found == [(A0, B0, C0, EMPTY, EMPTY, total(A0, B0, C0) + AB + BC, 3)]


BY_START = replace(OPENPOSE, singletons=False)


def test_openpose_extends_only_the_row_that_holds_the_start():
    found = rows(BY_START, {"ab": [(A0, B0, AB)], "bc": [(B0, C0, BC)], "ac": [(A1, C0, AC)]})

    assert found == [
        (A0, B0, C0, EMPTY, EMPTY, total(A0, B0, C0) + AB + BC, 3),
        (A1, EMPTY, C0, EMPTY, EMPTY, total(A1, C0) + AC, 2),
    ]


def test_openpose_never_merges():
    found = rows(BY_START, {"ab": [(A0, B0, AB)], "ed": [(E0, D0, ED)], "bc": [(B0, C0, BC)], "cd": [(C0, D0, CD)]})

    assert found == [
        (A0, B0, C0, D0, EMPTY, total(A0, B0, C0, D0) + AB + BC + CD, 4),
        (EMPTY, EMPTY, EMPTY, D0, E0, total(D0, E0) + ED, 2),
    ]


def test_openpose_extends_the_first_of_two_rows_with_the_start():
    found = rows(BY_START, {"ac": [(A0, C0, AC)], "bc": [(B0, C0, BC)], "cd": [(C0, D0, CD)]})

    assert found == [
        (A0, EMPTY, C0, D0, EMPTY, total(A0, C0, D0) + AC + CD, 3),
        (EMPTY, B0, C0, EMPTY, EMPTY, total(B0, C0) + BC, 2),
    ]


def test_openpose_overwrites_too():
    assert rows(BY_START, OVERWRITING) == [(A0, B0, C1, EMPTY, EMPTY, total(A0, B0, C0, C1) + AB + BC + AC, 4)]


def test_an_openpose_fill_limb_fills_either_end_and_counts_for_nothing():
    start = {"ab": [(A0, B0, AB)], "ed": [(E0, D0, ED)]}

    found = rows(BY_START, {**start, "bc": [(B0, C0, BC)], "cd": [(C1, D0, CD)]}, fill=("bc", "cd"))

    assert found == [
        (A0, B0, C0, EMPTY, EMPTY, total(A0, B0) + AB, 2),
        (EMPTY, EMPTY, C1, D0, E0, total(D0, E0) + ED, 2),
    ]


def test_an_openpose_fill_limb_takes_no_slot_and_starts_no_row():
    taken = rows(BY_START, {**TWO_TRIANGLES, "ac": [(A0, C1, AC)]}, fill=("ac",))

    assert taken == rows(BY_START, TWO_TRIANGLES)
    assert rows(BY_START, {"ab": [(A0, B0, AB)]}, fill=("ab",)) == []


def test_a_peak_whose_partner_kind_is_absent_starts_a_row_of_one():
    no_b = (2, 0, 1, 0, 0)  # a0 and a1 are 0 and 1, c0 is 2

    found = rows(OPENPOSE, {"ab": [], "bc": []}, counts=no_b)

    assert found == [
        (0, EMPTY, EMPTY, EMPTY, EMPTY, total(0), 1),
        (1, EMPTY, EMPTY, EMPTY, EMPTY, total(1), 1),
        (EMPTY, EMPTY, 2, EMPTY, EMPTY, total(2), 1),
    ]
    assert rows(BY_START, {"ab": [], "bc": []}, counts=no_b) == []


def test_a_singleton_is_not_made_of_a_peak_that_somebody_has():
    found = rows(OPENPOSE, {"ab": [(0, 2, AB)], "ac": []}, counts=(2, 1, 0, 0, 0))

    assert found == [
        (0, 2, EMPTY, EMPTY, EMPTY, total(0, 2) + AB, 2),
        (1, EMPTY, EMPTY, EMPTY, EMPTY, total(1), 1),
    ]


def test_an_unconnected_peak_whose_partners_exist_is_no_singleton():
    assert rows(OPENPOSE, {"ab": [(A0, B0, AB)]}) == [(A0, B0, EMPTY, EMPTY, EMPTY, total(A0, B0) + AB, 2)]


def test_a_singleton_grows_like_any_row():
    found = rows(OPENPOSE, {"ab": [], "ac": [(0, 1, AC)]}, counts=(1, 0, 1, 0, 0))

    assert found == [(0, EMPTY, 1, EMPTY, EMPTY, total(0, 1) + AC, 2)]
