"""The boxes of a detector, from a file of COCO detections: which are taken, and what is refused in one line."""

import json

import numpy as np
import pytest

from eval import boxes
from shared.coco import ImageRecord
from shared.errors import UserError
from shared.weights import sha256

RECORDS = [ImageRecord(i, f"{i}.jpg", 480, 640) for i in (7, 3, 9)]


def entry(image_id=7, score=0.9, bbox=(10.5, 20, 30, 40), category_id=1, **more):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), "score": score, **more}


GOOD = [
    entry(score=0.9),
    entry(3, 0.2, (-5, -6.25, 700, 500)),  # a detector's may leave the image
    entry(score=0.5, bbox=(1, 2, 3, 4), segmentation={}),
    entry(category_id=18),  # a dog
    entry(555),  # of another image
    entry(3, 1),  # a whole number
]
FAR = [(-500, 9000, 30, 40), (-100_000, 100_000, 100_000, 1e-300)]  # outside the image; and the most there may be


def written(folder, content):
    path = folder / "detections.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def found(folder, entries, threshold=0.0):
    return boxes.detected(written(folder, entries), RECORDS, threshold)


def test_boxes_of_people_of_these_images_are_taken_in_their_order(tmp_path):
    taken = found(tmp_path, GOOD)

    assert taken.keys() == {3, 7, 9}
    assert taken[7].boxes.tolist() == [[10.5, 20, 30, 40], [1, 2, 3, 4]]
    assert taken[7].scores.tolist() == [0.9, 0.5]
    assert taken[3].boxes.tolist() == [[-5, -6.25, 700, 500], [10.5, 20, 30, 40]]
    assert taken[3].scores.tolist() == [0.2, 1]
    assert (taken[9].boxes.shape, taken[9].scores.shape, len(taken[9])) == ((0, 4), (0,), 0)
    assert taken[7].boxes.dtype == np.float64


def test_a_box_may_lie_outside_the_image(tmp_path):
    taken = found(tmp_path, [entry(bbox=bbox) for bbox in FAR])

    assert taken[7].boxes.tolist() == [list(map(float, bbox)) for bbox in FAR]


@pytest.mark.parametrize(("threshold", "counts"), [(0.0, [2, 2]), (0.5, [2, 1]), (0.51, [1, 1]), (0.95, [0, 1])])
def test_a_box_at_the_threshold_is_taken(tmp_path, threshold, counts):
    taken = found(tmp_path, GOOD, threshold)

    assert [len(taken[7]), len(taken[3])] == counts


@pytest.mark.parametrize(
    ("entries", "threshold"),
    [([], 0.0), (GOOD[3:5], 0.0), (GOOD, 1.5), (GOOD, float("nan"))],
    ids=["empty", "others", "too high", "no number"],
)
def test_a_file_without_a_box_of_these_images_is_refused(tmp_path, entries, threshold):
    with pytest.raises(UserError, match=r"no person of these 3 images with a score of .*is it of another image set\?"):
        found(tmp_path, entries, threshold)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"not whole JSON \(Expecting value"),
        ('[{"image_id": 7', "not whole JSON"),
        ("[" * 100_000, "not whole JSON"),
        (b"\xff\xfe\x00".decode("latin-1"), "not whole JSON"),
        ({"images": [], "annotations": []}, "a JSON dict; expected COCO detections: a list of"),
        ("3", "a JSON int"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, content, message):
    refused(tmp_path, content, "--boxes .*detections.json: " + message)


def refused(folder, content, message):
    with pytest.raises(UserError, match=message) as error:
        found(folder, content)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": None}, "is not understood"),
        ({"bbox": [1, 2, 3]}, r"is not understood \(not enough values"),
        ({"bbox": [1, 2, 3, 4, 5]}, r"is not understood \(too many values"),
        ({"bbox": "1234"}, r"is not understood \('1' is not a number\)"),
        ({"bbox": [1, 2, 3, "4"]}, r"is not understood \('4' is not a number\)"),
        ({"bbox": [1, 2, 3, True]}, r"is not understood \(True is not a number\)"),
        ({"bbox": [1, 2, 3, 10**400]}, "is not understood"),
        ({"bbox": [1, 2, 3, float("nan")]}, r"bbox \[1, 2, 3, nan\], score 0.9; expected finite numbers, sides above"),
        ({"bbox": [float("inf"), 2, 3, 4]}, "expected finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "sides above 0"),
        ({"bbox": [1, 2, 3, 0]}, "sides above 0"),
        ({"bbox": [1e12, 0, 10, 10]}, "all within 100,000 px; take the entry out"),
        ({"bbox": [0, 0, 1e30, 1e30]}, "all within 100,000 px"),
        ({"bbox": [1e300, 1e300, 5, 5]}, "all within 100,000 px"),
        ({"bbox": [0, 0, 1e-300, 1e300]}, "all within 100,000 px"),
        ({"bbox": [0, -100_001, 10, 10]}, "all within 100,000 px"),
        ({"score": None}, r"is not understood \(None is not a number\)"),
        ({"score": "high"}, r"is not understood \('high' is not a number\)"),
        ({"score": float("nan")}, "expected finite numbers"),
        ({"image_id": "7"}, r"is not understood \('7' is not a number\)"),
        ({"image_id": 7.5}, r"is not understood \(an id that is not a whole number\)"),
        ({"image_id": float("inf")}, "is not understood"),
        ({"category_id": None}, "is not understood"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, change, message):
    refused(tmp_path, [entry(), {**entry(), **change}], f"detections.json: entry 1:? .*{message}")


@pytest.mark.parametrize("name", ["image_id", "category_id", "bbox", "score"])
def test_an_entry_without_a_value_is_named(tmp_path, name):
    lacking = entry()
    del lacking[name]

    refused(tmp_path, [lacking], rf"entry 0 is not understood \('{name}'\); expected COCO detections: a list of")


@pytest.mark.parametrize("wrong", [None, 3, "box", [1, 2, 3, 4]])
def test_an_entry_that_is_no_object_is_named(tmp_path, wrong):
    refused(tmp_path, [wrong], rf"entry 0 is not understood \(a {type(wrong).__name__}\)")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError, match=r"--boxes .*: (No such file|Is a directory).*; expected gt, or COCO detec"):
            boxes.detected(path, RECORDS)


def test_the_protocol_says_where_boxes_came_from(tmp_path):
    path = written(tmp_path, GOOD)

    assert boxes.identity("gt", 0.0) == {"source": "ground truth"}
    assert boxes.identity(str(path), 0.25) == {
        "source": "detections", "file": "detections.json", "sha256": sha256(path), "threshold": 0.25
    }  # fmt: skip
