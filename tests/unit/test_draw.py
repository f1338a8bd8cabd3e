"""What is drawn over an image, where, and in which colours."""

import numpy as np
import pytest

from shared import draw
from shared.codec import crops
from shared.codec.spec import Maps
from shared.person import Person, Pose
from shared.skeleton import BODY25, COCO17, COCO18, FACE70, HAND21, MPI15, MPII16

GREY = np.full((100, 120, 3), 128, np.uint8)


def pose(**places: tuple[float, float]) -> Pose:
    keypoints = np.zeros((18, 3), np.float32)
    for name, place in places.items():
        keypoints[COCO18.index(name)] = (*place, 1)
    return Pose(keypoints, 1.0)


def person(visibility: int, *, crowd: bool = False, known: bool = True) -> Person:
    keypoints = np.zeros((17, 3), np.float32)
    if known:
        keypoints[[0, 9, 16]] = [(20, 20, 2), (60, 50, visibility), (100, 90, 2)]
    return Person(keypoints, (10.0, 12.0, 100.0, 80.0), 1.0, None, crowd, 1, 1)


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != GREY).any(axis=-1)


@pytest.mark.parametrize("skeleton", [COCO17, COCO18, MPI15, MPII16, BODY25, HAND21, FACE70], ids=lambda s: s.name)
def test_every_skeleton_has_colours_and_lines(skeleton):
    colours = draw.colours(skeleton)

    assert len(colours) == skeleton.n_keypoints
    assert all(0 <= value <= 255 for colour in colours for value in colour)
    assert len(set(colours)) > 1
    assert all(0 <= k < skeleton.n_keypoints for line in draw.lines(skeleton) for k in line)
    assert draw.lines(skeleton)


def test_openposes_colours_are_its_own():
    assert draw.colours(COCO18)[0] == (255, 0, 85)
    assert draw.colours(COCO17)[0] == draw.colours(COCO18)[0]
    assert draw.colours(BODY25)[8] == (255, 0, 0)


def test_mpiis_lines_are_one_tree_from_the_pelvis():
    """Every keypoint but the pelvis ends one line, as in MPII's own list of parents; sides do not mix."""
    parents = {b: a for a, b in draw.lines(MPII16)}
    names = {MPII16.keypoints[b]: MPII16.keypoints[a] for b, a in parents.items()}

    assert len(parents) == len(draw.lines(MPII16)) == 15
    assert [parents.get(k) for k in range(16)] == [1, 2, 6, 6, 3, 4, None, 6, 7, 8, 11, 12, 7, 7, 13, 14]
    assert {names[name] for name in ("right_hip", "left_hip", "thorax")} == {"pelvis"}
    assert {names[name] for name in ("upper_neck", "right_shoulder", "left_shoulder")} == {"thorax"}
    assert names["head_top"] == "upper_neck"


def test_mpii_has_the_colours_of_mpi_15():
    for name in ("head_top", "right_wrist", "left_ankle"):
        assert draw.colours(MPII16)[MPII16.index(name)] == draw.colours(MPI15)[MPI15.index(name)]


def test_a_limb_is_drawn_between_its_keypoints_and_nowhere_else():
    shown = changed(draw.draw_poses(GREY, [pose(right_elbow=(20, 30), right_wrist=(80, 30))], COCO18))

    assert shown[30, 20:81].all()
    assert not shown[45:].any()
    assert not shown[:, 95:].any()
    assert (GREY == 128).all(), "the image itself is left alone"


def test_ear_shoulder_limbs_are_not_drawn():
    shown = changed(draw.draw_poses(GREY, [pose(right_shoulder=(20, 30), right_ear=(80, 30))], COCO18))

    assert not shown[30, 40:60].any()


def test_unknown_and_faint_keypoints_are_not_drawn():
    faint = pose(nose=(50, 50))
    faint.keypoints[COCO18.index("nose"), 2] = draw.KEYPOINT_THRESHOLD

    assert not changed(draw.draw_poses(GREY, [faint, pose()], COCO18)).any()


def test_the_least_score_can_be_another():
    sure = pose(nose=(50, 50))
    sure.keypoints[COCO18.index("nose"), 2] = 0.2

    assert changed(draw.draw_poses(GREY, [sure], COCO18)).any()
    assert not changed(draw.draw_poses(GREY, [sure], COCO18, threshold=0.2)).any()


def test_keypoints_outside_the_image_do_no_harm():
    shown = draw.draw_poses(GREY, [pose(right_elbow=(-50, 30), right_wrist=(300, 30))], COCO18)

    assert changed(shown)[30].all()


def test_a_hidden_keypoint_is_a_ring():
    visible, hidden = (draw.draw_persons(GREY, [person(v)]) for v in (2, 1))

    assert changed(visible)[50, 60]
    assert not changed(hidden)[50, 60]
    assert changed(hidden)[45:56, 55:66].any()


@pytest.mark.parametrize("framed", [person(2, crowd=True), person(2, known=False)], ids=["crowd", "no keypoints"])
def test_crowds_and_people_without_keypoints_are_frames(framed):
    shown = changed(draw.draw_persons(GREY, [framed]))

    assert shown[12, 10:110].all()
    assert shown[12:92, 10].all()
    assert not shown[20:85, 15:105].any()


def test_maps_are_drawn_at_the_size_of_the_image():
    heat, paf = np.zeros((25, 30, 19), np.float32), np.zeros((25, 30, 38), np.float32)
    heat[5, 6, 3], paf[20, 6, 0], paf[20, 25, 1] = 1, 1, 1  # a field to the right, another downwards
    maps = Maps(heat, paf, (4.0, 4.0), (1.5, 1.5))

    drawn_heat, one, other = (draw.draw_heat(GREY, maps, k) for k in (None, 3, 4))
    drawn_paf = draw.draw_paf(GREY, maps)

    assert drawn_heat.shape == drawn_paf.shape == GREY.shape
    np.testing.assert_array_equal(drawn_heat, one)
    assert (drawn_heat[22, 26] != drawn_heat[80, 100]).any()
    assert (other == other[0, 0]).all()
    right, down = drawn_paf[82, 26].astype(int), drawn_paf[82, 102].astype(int)
    assert right.argmax() == 0, "red points right"
    assert down.argmax() == 1, "a quarter turn further is green"
    assert (drawn_paf[10, 10] == drawn_paf[50, 60]).all()


def test_maps_lie_where_their_geometry_says():
    heat = np.zeros((4, 5, 2), np.float32)
    heat[2, 3, 0] = 1  # its centre is px (27.5, 19.5) of the network's input, the image's (57, 39.5)

    drawn = draw.draw_heat(GREY, Maps(heat, np.zeros((4, 5, 0)), (2.0, 2.0), (2.0, 0.5), cell=8))

    red = drawn[..., 0].astype(int) - drawn[0, 0, 0]
    rows, columns = np.nonzero(drawn[..., 0] > drawn[..., 2])
    assert red.max() > 20
    assert (rows.mean(), columns.mean()) == (pytest.approx(39.5, abs=0.5), pytest.approx(57, abs=0.5))


def test_heatmaps_of_crops_are_brought_back_to_their_places():
    heat = np.zeros((2, 16, 12, 3), np.float32)
    heat[0, 4, 3, 0] = heat[1, 12, 9, 2] = 1
    centres, scales = np.array([[30.0, 40.0], [90.0, 60.0]]), np.array([[0.12, 0.16], [0.12, 0.16]])
    matrices = crops.matrix(centres, scales, 0.0, (16, 12))  # two px a cell, whose cell (6, 8) is the centre

    drawn = draw.draw_crops(GREY, heat, matrices).astype(int)
    moved = draw.draw_crops(GREY, heat, matrices + np.array([[0, 0, 2], [0, 0, 0]])).astype(int)

    for x, y in ((24, 32), (96, 68)):
        place = drawn[y - 6 : y + 7, x - 6 : x + 7] - drawn[0, 0]
        rows, columns = np.nonzero(place[..., 0] > 20)
        assert (rows.mean(), columns.mean()) == (pytest.approx(6, abs=0.5), pytest.approx(6, abs=0.5))
        assert not (moved[y - 1 : y + 2, x - 1 : x + 2] == drawn[y - 1 : y + 2, x - 1 : x + 2]).all()
    assert (drawn[90:, :] == drawn[0, 0]).all()
    assert (GREY == 128).all()


def test_tiles_stand_side_by_side_under_their_titles():
    tiled = draw.tile([GREY, np.zeros((100, 50, 3), np.uint8)], ["one", "two"])

    height = tiled.shape[0] - 100
    assert tiled.shape == (100 + height, 120 + 50 + 6, 3)
    np.testing.assert_array_equal(tiled[height:, :120], GREY)
    assert (tiled[height:, 126:] == 0).all()
    assert (tiled[:height, :120] < 100).any(), "the title"
