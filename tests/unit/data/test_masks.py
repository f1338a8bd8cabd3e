"""Loss masks: what each rule leaves out, on regions that one can count."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO

from shared.data.index import Index
from shared.data.masks import MASK, loss_mask, mask_of, masks, segment
from shared.errors import UserError

MINI = Path(__file__).parents[4] / "shared" / "data" / "coco_mini" / "person_keypoints.json"
HEIGHT, WIDTH = 40, 60


def rectangle(x, y, width, height):
    return [np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float)]


def region(x, y, width, height):
    """A rectangle as run lengths."""
    whole = np.zeros((HEIGHT, WIDTH), bool)
    whole[y : y + height, x : x + width] = True
    flat = np.concatenate([[False], whole.T.ravel()])
    ends = np.flatnonzero(np.diff(flat.astype(int)))
    return np.diff(np.concatenate([[0], ends, [whole.size]])).astype(np.uint32)


def zero(*boxes):
    """The mask that is 0 on these boxes (x0, y0, x1, y1), and 255 elsewhere."""
    expected = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for x0, y0, x1, y1 in boxes:
        expected[y0:y1, x0:x1] = 0
    return expected


def both(people, rule):
    """(segment, number of keypoints, crowd) of each -> mask_miss, mask_all; and the shortcut agrees."""
    segments, n_keypoints, crowd = ([*column] for column in zip(*people, strict=True))
    arguments = (HEIGHT, WIDTH, segments, np.array(n_keypoints), np.array(crowd), MASK[rule])
    missed, everybody = masks(*arguments)
    short = loss_mask(*arguments)
    assert (short is None) == (missed is None)
    assert short is None or (short == missed).all()
    return missed, everybody


LABELLED = (rectangle(0, 0, 10, 20), 5, False)
UNLABELLED = (rectangle(20, 0, 10, 20), 0, False)
CROWD = (region(5, 10, 20, 20), 0, True)  # over a part of both
OTHER_CROWD = (region(50, 0, 5, 5), 0, True)


@pytest.mark.parametrize("rule", MASK)
def test_nothing_is_masked_where_everybody_is_labelled(rule):
    missed, everybody = both([LABELLED], rule)

    assert missed is None
    assert everybody.sum() == 255 * 10 * 20 or rule == "caffe"  # Matlab's outline is half a pixel off


def test_paper_masks_people_without_keypoints_and_crowds_but_nobody_who_is_labelled():
    for order in ([LABELLED, UNLABELLED, CROWD], [CROWD, UNLABELLED, LABELLED]):
        missed, everybody = both(order, "paper")

        expected = zero((20, 0, 30, 20), (5, 10, 25, 30))
        expected[:20, :10] = 255
        np.testing.assert_array_equal(missed, expected)
        np.testing.assert_array_equal(everybody, 255 - zero((0, 0, 10, 20), (20, 0, 30, 20), (5, 10, 25, 30)))


def test_keras_spares_whom_the_file_lists_before_the_crowd():
    after, _ = both([LABELLED, UNLABELLED, CROWD], "keras")
    before, _ = both([CROWD, LABELLED, UNLABELLED], "keras")

    expected = zero((20, 0, 30, 20), (5, 10, 25, 30))
    expected[:20, :10] = 255
    np.testing.assert_array_equal(after, expected)
    np.testing.assert_array_equal(before, zero((20, 0, 30, 20), (5, 10, 25, 30)))


def test_lightweight_masks_crowds_only_and_all_of_them():
    missed, _ = both([LABELLED, UNLABELLED, CROWD, OTHER_CROWD], "lightweight")

    np.testing.assert_array_equal(missed, zero((5, 10, 25, 30), (50, 0, 55, 5)))


def test_none_masks_nothing():
    assert both([LABELLED, UNLABELLED, CROWD], "none")[0] is None


def test_several_crowds_are_all_masked_or_ignored_or_refused():
    people = [LABELLED, CROWD, OTHER_CROWD]

    assert (both(people, "paper")[0][:5, 50:55] == 0).all()
    assert both(people, "caffe")[0] is None
    assert both([LABELLED, OTHER_CROWD], "caffe")[0] is not None  # one counts
    with pytest.raises(UserError, match=r"^2 crowd regions in one image, .* choose another rule$"):
        both(people, "keras")


def test_matlab_draws_the_first_polygon_half_a_pixel_away():
    two = (rectangle(2.2, 2.2, 8, 8) + rectangle(20.2, 2.2, 8, 8), 0, False)

    np.testing.assert_array_equal(both([two], "paper")[0], zero((2, 2, 10, 10), (20, 2, 28, 10)))
    # Matlab asks at the pixel centres 3, 4, ..., 10, counted from 1: pixels 2 to 9
    np.testing.assert_array_equal(both([two], "caffe")[0], zero((2, 2, 10, 10)))
    down = (rectangle(2.7, 2.7, 8, 8), 0, False)
    np.testing.assert_array_equal(both([down], "paper")[0], zero((3, 3, 11, 11)))
    np.testing.assert_array_equal(both([down], "caffe")[0], zero((2, 2, 10, 10)))


def test_matlab_and_pycocotools_differ_on_the_outline_only():
    rng = np.random.default_rng(3)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 25))
    radius = rng.uniform(10, 18, 25)
    polygon = np.column_stack([30 + radius * np.cos(turn), 20 + radius * np.sin(turn)]).round(2)
    outline = polygon.astype(np.float32)
    # Matlab's inpolygon at the centres of pixels that are counted from 1; distance in px, positive inside
    apart = np.array([[cv2.pointPolygonTest(outline, (x + 1, y + 1), True) for x in range(60)] for y in range(40)])

    drawn = {rule: both([([polygon], 0, False)], rule)[0] == 0 for rule in ("caffe", "paper")}
    wrong = {rule: (mask != (apart > 0)) for rule, mask in drawn.items()}
    assert np.abs(apart[wrong["caffe"]]).max(initial=0) < 0.2
    assert np.abs(apart[wrong["paper"]]).max(initial=0) > 0.5


def test_polygons_out_of_the_image_or_of_two_points_are_no_trouble():
    outside = (rectangle(-500, -500, 100, 100), 0, False)
    across = (rectangle(50, 30, 100, 100), 0, False)
    line = ([np.array([[1.0, 1], [9, 9]])], 0, False)
    nothing = ([], 0, False)

    missed, everybody = both([outside, across, line, nothing], "paper")

    np.testing.assert_array_equal(missed, zero((50, 30, 60, 40)))
    np.testing.assert_array_equal(everybody, 255 - missed)
    assert both([outside, line, nothing], "paper")[0] is None


def test_cocos_own_forms_are_understood():
    packed = rle.encode(np.asfortranarray(np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 7 < 3).astype(np.uint8))
    packed["counts"] = packed["counts"].decode()
    entries = [{"segmentation": packed, "iscrowd": 1, "num_keypoints": 0}]
    expected = np.where(rle.decode(packed) > 0, 0, 255)

    np.testing.assert_array_equal(mask_of(entries, (HEIGHT, WIDTH), MASK["paper"]), expected)
    entries += [{"segmentation": [[0, 0, 60, 0, 60, 40, 0, 40]], "iscrowd": 0, "num_keypoints": 1}]
    assert mask_of(entries, (HEIGHT, WIDTH), MASK["paper"]) is None  # that person is spared
    assert segment(None) == []


@pytest.mark.skipif(not MINI.is_file(), reason="no ../shared/data/coco_mini")
def test_photographs_have_the_masks_that_pycocotools_draws(capsys):
    coco = COCO(str(MINI))
    index = Index.build(MINI)
    masked = 0
    for row, identity in enumerate(index.image_ids.tolist()):
        entries = coco.loadAnns(coco.getAnnIds(identity))
        height, width = index.sizes[row].tolist()
        labelled, unlabelled, crowd = np.zeros((3, height, width), bool)
        for entry in entries:
            of_it = crowd if entry["iscrowd"] else labelled if entry["num_keypoints"] else unlabelled
            of_it |= coco.annToMask(entry) > 0
        expected = np.where(unlabelled | (crowd & ~labelled), 0, 255)
        rows = index.rows(row)
        segments = [index.segment(r) for r in rows]
        found = loss_mask(height, width, segments, index.n_keypoints[rows], index.crowd[rows])
        found = np.full((height, width), 255) if found is None else found
        np.testing.assert_array_equal(found, expected, str(identity))
        masked += (expected == 0).any()
    assert masked > 5
    capsys.readouterr()  # pycocotools prints
