"""Skeletons against the lists that the originals publish (typed here, derived from names there)."""

import numpy as np
import pytest

from shared.errors import UserError
from shared.skeleton import (
    BODY25,
    COCO17,
    COCO18,
    FACE70,
    HAND21,
    MPI15,
    MPI15_MATLAB_ORDER,
    MPII16,
    SKELETONS,
    Skeleton,
    skeleton,
)  # fmt: skip


def test_coco18_flips_are_the_published_lists():
    assert COCO18.heat_flip == (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16, 18)
    assert COCO18.paf_flip == (
        6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25, 26, 27, 12, 13, 14, 15, 16, 17, 18, 19,
        28, 29, 32, 33, 30, 31, 36, 37, 34, 35,
    )  # fmt: skip


def test_mpi15_flips_are_the_published_lists():
    assert MPI15.heat_flip == (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15)
    assert MPI15.paf_flip == (0, 1, *range(8, 14), *range(2, 8), 14, 15, *range(22, 28), *range(16, 22))


def test_body25_flips_are_the_published_pairs():
    heat = list(range(26))
    for a, b in (
        (2, 5),
        (3, 6),
        (4, 7),
        (9, 12),
        (10, 13),
        (11, 14),
        (15, 16),
        (17, 18),
        (19, 22),
        (20, 23),
        (21, 24),
    ):
        heat[a], heat[b] = b, a
    limbs = list(range(26))
    pairs = (
        (1, 5),
        (2, 6),
        (3, 4),
        (7, 11),
        (8, 12),
        (9, 13),
        (10, 14),
        (16, 17),
        (18, 19),
        (20, 23),
        (21, 24),
        (22, 25),
    )
    for a, b in pairs:
        limbs[a], limbs[b] = b, a

    assert BODY25.heat_flip == tuple(heat)
    assert BODY25.limb_flip == tuple(limbs)


def test_coco17_and_coco18_convert_as_published():
    assert [s[0] for s in COCO17.sources(COCO18)] == [
        0,
        15,
        14,
        17,
        16,
        5,
        2,
        6,
        3,
        7,
        4,
        11,
        8,
        12,
        9,
        13,
        10,
    ]
    sources = COCO18.sources(COCO17)
    assert sources[1] == (5, 6)
    assert [s[0] for k, s in enumerate(sources) if k != 1] == [
        0,
        6,
        8,
        10,
        5,
        7,
        9,
        12,
        14,
        16,
        11,
        13,
        15,
        2,
        1,
        4,
        3,
    ]


def test_mpi15_comes_from_mpii_as_published():
    sources = MPI15.sources(MPII16)

    assert [s[0] for s in sources[:14]] == [9, 8, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5]
    assert set(sources[14]) == {6, 7}


def test_body25_gives_coco17_as_published():
    found = [s[0] for s in COCO17.sources(BODY25)]

    assert found == [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]


def test_limbs_stand_in_caffe_order():
    starts = [2, 9, 10, 2, 12, 13, 2, 3, 4, 3, 2, 6, 7, 6, 2, 1, 1, 15, 16]
    ends = [9, 10, 11, 12, 13, 14, 3, 4, 5, 17, 6, 7, 8, 18, 1, 15, 16, 17, 18]

    assert [(a - 1, b - 1) for a, b in zip(starts, ends, strict=True)] == list(COCO18.limbs)


def test_decode_orders_read_the_published_paf_channels():
    coco = [12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26]
    body25 = [0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28, *range(40, 52, 2)]
    matlab = [*range(0, 16, 2), 22, 24, 26, 16, 18, 20]

    assert [2 * limb for limb in COCO18.decode_order] == coco
    assert [2 * limb for limb in BODY25.decode_order] == body25
    assert [2 * limb for limb in MPI15_MATLAB_ORDER] == matlab
    assert MPI15.decode_order == tuple(range(14))


def test_ear_shoulder_limbs_only_fill():
    assert {COCO18.limbs[i] for i in COCO18.fill_limbs} == {(2, 16), (5, 17)}
    assert {BODY25.limbs[i] for i in BODY25.fill_limbs} == {(2, 17), (5, 18)}


@pytest.mark.parametrize("body", SKELETONS.values(), ids=lambda s: s.name)
def test_flip_twice_is_identity(body):
    flip = np.array(body.flip)

    assert (flip[flip] == np.arange(body.n_keypoints)).all()


def test_channel_counts_are_the_published_ones():
    counts = {s.name: (s.n_heat, s.n_paf) for s in (COCO18, MPI15, BODY25, HAND21, FACE70)}

    assert counts == {
        "coco18": (19, 38), "mpi15": (16, 28), "body25": (26, 52), "hand21": (22, 0), "face70": (71, 0),
    }  # fmt: skip


def test_a_neck_is_known_only_with_both_shoulders():
    points = np.zeros((2, 17, 3), np.float32)
    points[0, [5, 6]] = [[10, 20, 2], [30, 40, 1]]
    points[1, 5] = [10, 20, 2]

    neck = COCO18.convert_from(COCO17, points)[:, 1]

    np.testing.assert_array_equal(neck, [[20, 30, 1], [0, 0, 0]])


def test_a_limb_without_a_mirror_image_is_refused():
    with pytest.raises(ValueError, match="without a mirror image"):
        Skeleton("eye-ear", ("left_eye", "right_eye", "left_ear", "right_ear"), ((0, 2), (1, 0)))


def test_an_unknown_skeleton_answers_with_the_known_ones():
    with pytest.raises(UserError, match=r"did you mean coco18\?.*body25"):
        skeleton("coco81")
