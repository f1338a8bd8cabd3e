"""HRNet's two styles: colours, who is drawn, and which keypoints."""

import numpy as np
import pytest

from shared import draw_styles
from shared.draw_styles import CHUNHUA, LINES, XIAOCHU
from shared.errors import UserError
from shared.person import Person, Pose
from shared.skeleton import COCO17

GREY = np.full((200, 240, 3), 128, np.uint8)
# The 16 lines of plot_coco.py in its order, by the numbers of COCO's keypoints.
PUBLISHED_LINES = (
    *((15, 13), (13, 11), (11, 5), (12, 14), (14, 16), (12, 6), (3, 1), (1, 2), (1, 0), (0, 2), (2, 4)),
    *((9, 7), (7, 5), (5, 6), (6, 8), (8, 10)),
)
VIOLET, BLUE, PINK, LEMON, GREEN = (252, 176, 243), (0, 176, 240), (240, 2, 127), (255, 255, 0), (169, 209, 142)


def body(missing=(), at=(0.0, 0.0), radius=80.0):
    """(17, 3): the keypoints on a circle, so that no line comes near a third one; v 1 but for the missing ones."""
    angles = np.arange(17) * 2 * np.pi / 17
    circle = np.array([120 + at[0], 100 + at[1]]) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = np.column_stack([circle, np.ones(17)]).astype(np.float32)
    points[list(missing)] = 0
    return points


def pose(score=0.9, **changes):
    return Pose(body(**changes), score)


def person(missing=(), radius=80.0):
    box = (120 - radius, 100 - radius, 2 * radius, 2 * radius)
    return Person(body(missing, radius=radius), box, 1.0, id=1)


def pixel(*names, **changes):
    """(row, column) of a keypoint, or of the middle of two."""
    x, y = body(**changes)[[COCO17.index(name) for name in names], :2].mean(axis=0)
    return round(float(y)), round(float(x))


def drawn(*found, persons, style=CHUNHUA):
    return draw_styles.draw_poses(GREY, found, persons, style)


def changed(picture):
    return (picture != GREY).any(axis=-1)


def test_the_lines_are_the_published_ones():
    assert LINES == PUBLISHED_LINES


def test_the_colours_are_the_published_ones():
    assert CHUNHUA.lines == (*[VIOLET] * 3, *[BLUE] * 3, *[PINK] * 5, LEMON, LEMON, GREEN, GREEN, GREEN)
    assert XIAOCHU.lines[:3] == ((179, 0, 0), (228, 26, 28), (255, 255, 51))
    assert XIAOCHU.lines[6:] == (
        *[PINK] * 5,
        (217, 95, 14),
        (254, 153, 41),
        (255, 255, 51),
        (44, 127, 184),
        (0, 0, 255),
    )
    for style in (CHUNHUA, XIAOCHU):
        assert (len(style.lines), len(style.keypoints)) == (16, 17)
        assert draw_styles.style(style.name) is style


def test_chunhuas_sides_have_colours_of_their_own():
    parts = {"left_wrist": LEMON, "right_wrist": GREEN, "left_knee": VIOLET, "right_knee": BLUE, "nose": PINK}

    assert {name: CHUNHUA.keypoints[COCO17.index(name)] for name in parts} == parts


def test_an_unknown_style_is_refused():
    with pytest.raises(UserError, match=r"style chunhau: unknown \(did you mean chunhua"):
        draw_styles.style("chunhau")


def test_a_line_has_its_colour_and_a_keypoint_a_black_edge():
    picture = drawn(pose(), persons=[person()])

    y, x = pixel("left_shoulder")
    assert tuple(picture[pixel("left_shoulder", "right_shoulder")]) == GREEN
    assert tuple(picture[y, x]) == LEMON
    assert (picture[y - 7 : y + 8, x - 7 : x + 8].sum(axis=-1) < 60).any()
    assert (GREY == 128).all(), "the image itself is left alone"


def test_lines_of_the_face_are_thin_and_others_grow_with_the_person():
    def width(*names, **changes):
        y, x = pixel(*names, **changes)
        picture = drawn(pose(**changes), persons=[person(**changes)])
        return changed(picture)[y - 3 : y + 4, x - 3 : x + 4].sum()

    shoulders = ("left_shoulder", "right_shoulder")
    assert width("nose", "left_eye") < width(*shoulders)
    assert width(*shoulders, radius=50.0) < width(*shoulders)


@pytest.mark.parametrize("missing", ["left_elbow", "nose"])
def test_what_a_person_has_not_annotated_is_not_drawn(missing):
    k = COCO17.index(missing)

    whole, without = (changed(drawn(pose(), persons=[person(missing=m)])) for m in ((), (k,)))

    assert whole[pixel(missing)]
    assert not without[pixel(missing)]
    assert without.any()


def test_what_was_not_found_is_not_drawn():
    k, faint, sure = COCO17.index("left_elbow"), pose(), pose()
    faint.keypoints[k, 2], sure.keypoints[k, 2] = 0.19, 0.2

    shown = [
        changed(drawn(found, persons=[person()]))[pixel("left_elbow")] for found in (pose(missing=(k,)), faint, sure)
    ]

    assert shown == [False, False, True]


def test_a_line_needs_both_ends_of_one_person():
    """One neighbour has the shoulder, the other the elbow: both keypoints are drawn, and no line between them."""
    names = ("left_shoulder", "left_elbow")
    a, b = (COCO17.index(name) for name in names)
    others = [k for k in range(17) if k not in (a, b)]

    split = changed(drawn(pose(), persons=[person(missing=(*others, b)), person(missing=(*others, a))]))
    one = changed(drawn(pose(), persons=[person(missing=others)]))

    assert one[pixel(*names)]
    assert not split[pixel(*names)]
    assert all(split[pixel(name)] for name in names)


@pytest.mark.parametrize(("shift", "near"), [((0, 0), True), ((200, 0), True), ((480, 0), False), ((490, 490), False)])
def test_only_people_near_an_annotated_one_are_drawn(shift, near):
    found = pose(at=shift)

    assert bool(draw_styles.near(found, [person()])) == near
    assert not draw_styles.near(found, [])
    assert not draw_styles.near(found, [person(missing=range(17))])


def test_a_pose_is_drawn_once_though_two_people_are_near():
    assert (drawn(pose(), persons=[person(), person()]) == drawn(pose(), persons=[person()])).all()


def test_annotated_people_are_drawn_with_what_they_have():
    everybody = draw_styles.draw_persons(GREY, [person(), person(missing=range(17))], CHUNHUA)

    np.testing.assert_array_equal(everybody, drawn(pose(), persons=[person()]))


def test_nobody_found_is_the_image_itself():
    np.testing.assert_array_equal(drawn(pose(missing=range(17)), persons=[person()]), GREY)
