"""COCO annotations: what is read, and one line for each way in which they can be wrong."""

import copy
import json
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from shared import coco
from shared.errors import UserError

KEYPOINTS = [float(v) for k in range(17) for v in (10 + k, 20 + 2 * k, 2)]
GOOD = {
    "images": [
        {"id": 7, "file_name": "b.png", "height": 40, "width": 60},
        {"id": 3, "file_name": "deeper/a.png", "height": 50, "width": 70},
    ],
    "annotations": [
        {
            "id": identity, "image_id": 7, "category_id": 1, "keypoints": KEYPOINTS, "num_keypoints": 17,
            "bbox": [10, 20, 17, 34], "area": 300.5, "iscrowd": int(identity == 12), "segmentation": [[1, 2, 3, 4]],
        }
        for identity in (11, 12)
    ],
    "categories": [{"id": 1, "name": "person"}],
}  # fmt: skip


def changed(*path, to):
    """The good annotations with one value replaced."""
    raw = copy.deepcopy(GOOD)
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return raw


def without(*path):
    raw = copy.deepcopy(GOOD)
    place = raw
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return raw


def written(tmp_path, raw):
    path = tmp_path / "annotations.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw))
    return path


def refused(source, match, images=None):
    with pytest.raises(UserError, match=match) as caught:
        coco.load(source, images)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert ("annotations" if isinstance(source, dict) else str(source)) in message


def test_images_come_in_the_order_of_their_ids_with_their_people(tmp_path):
    found = coco.load(written(tmp_path, GOOD), tmp_path)

    assert [(r.id, r.file_name, r.height, r.width) for r in found.images] == [
        (3, "deeper/a.png", 50, 70),
        (7, "b.png", 40, 60),
    ]
    assert [r.path for r in found.images] == [tmp_path / "deeper" / "a.png", tmp_path / "b.png"]
    assert [p.id for p in found.persons(7)] == [11, 12]
    assert found.persons(3) == []
    assert found.raw == GOOD


def test_a_person_has_all_that_was_annotated():
    first, second = coco.load(GOOD).persons(7)

    np.testing.assert_array_equal(first.keypoints, np.reshape(KEYPOINTS, (17, 3)).astype(np.float32))
    assert (first.box, first.area, first.segmentation) == ((10, 20, 17, 34), 300.5, [[1, 2, 3, 4]])
    assert (first.crowd, second.crowd) == (False, True)


def test_without_a_folder_there_are_no_paths():
    assert [r.path for r in coco.load(GOOD).images] == [None, None]


WRONG = {
    "too few values": (("annotations", 0, "keypoints"), KEYPOINTS[:-3], "48 keypoint values, expected 51"),
    "too many values": (("annotations", 0, "keypoints"), [*KEYPOINTS, 1, 1, 1], "54 keypoint values, expected 51"),
    "keypoints as an object": (("annotations", 0, "keypoints"), {"nose": [1, 2, 2]}, "0 keypoint values, expected 51"),
    "a word": (("annotations", 0, "keypoints", 3), "left", "not understood"),
    "NaN": (("annotations", 0, "keypoints", 3), nan, "annotation 11 of image 7: NaN or infinity"),
    "null": (("annotations", 0, "keypoints", 3), None, "NaN or infinity"),
    "infinite area": (("annotations", 1, "area"), inf, "annotation 12 of image 7: NaN or infinity"),
    "visibility 3": (("annotations", 0, "keypoints", 2), 3, "visibility 3, expected 0, 1 or 2"),
    "negative width": (("annotations", 0, "bbox"), [1, 2, -3, 4], "none negative"),
    "box of three": (("annotations", 0, "bbox"), [1, 2, 3], "expected x, y, width, height"),
    "a car": (("annotations", 0, "category_id"), 3, "annotation 11 of image 7: category 3, expected 1"),
    "unknown image": (("annotations", 0, "image_id"), 8, "annotation 11 of image 8: there is no such image"),
    "id as text": (("annotations", 0, "id"), "11", "'11' is not a whole number"),
    "image id as text": (("images", 0, "id"), "7", "'7' is not a whole number"),
    "fractional height": (("images", 0, "height"), 40.5, "40.5 is not a whole number"),
    "infinite width": (("images", 0, "width"), inf, "inf is not a whole number"),
    "no size": (("images", 0, "height"), 0, "image 7 is 60x0 px"),
    "annotation twice": (("annotations", 1, "id"), 11, "1 annotation ids occur more than once, first 11"),
    "image twice": (("images", 0, "id"), 3, "1 image ids occur more than once, first 3"),
    "image as a list": (("images", 0), [7, "b.png", 40, 60], "an image entry is not understood"),
    "annotation as a list": (("annotations", 0), [11, 7], "an annotation is not understood"),
    "images as an object": (("images",), {"7": "b.png"}, "no list of 'images'"),
    "no images": (("images",), [], "lists no images"),
    "another category": (("categories",), [{"id": 2}], "no category with the id 1"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_one_line(wrong):
    path, value, message = WRONG[wrong]
    if wrong == "image twice":
        raw = changed("annotations", to=[])
        raw["images"][0]["id"] = value
    else:
        raw = changed(*path, to=value)

    refused(raw, message)


@pytest.mark.parametrize(
    "path",
    [
        *(("annotations", 0, key) for key in ("id", "image_id", "category_id", "keypoints", "num_keypoints")),
        *(("annotations", 0, key) for key in ("bbox", "area", "iscrowd")),
        *(("images", 0, key) for key in ("id", "file_name", "height", "width")),
    ],
)
def test_a_missing_value_is_named(path):
    refused(without(*path), path[-1])


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_missing_list_is_named(key):
    refused(without(key), f"no list of '{key}'")


def test_an_annotation_may_lack_its_segment():
    assert coco.load(without("annotations", 0, "segmentation")).persons(7)[0].segmentation is None


@pytest.mark.parametrize("name", ["../b.png", "deeper/../../b.png", "/etc/passwd", "C:b.png", "..\\b.png"])
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    refused(written(tmp_path, changed("images", 0, "file_name", to=name)), "image 7 has the file name", tmp_path)


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_not(tmp_path):
    (tmp_path / "outside.png").write_bytes(b"x")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "b.png").symlink_to(tmp_path / "outside.png")
    refused(written(tmp_path, GOOD), "is a link out of its folder", folder)

    (folder / "b.png").unlink()
    (folder / "inside.png").write_bytes(b"x")
    (folder / "b.png").symlink_to(folder / "inside.png")
    assert coco.load(written(tmp_path, GOOD), folder).images[1].path == folder / "b.png"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not whole JSON"),
        ("# Annotations", "not whole JSON"),
        (json.dumps(GOOD)[:-20], "not whole JSON"),
        ("[" * 100_000, "not whole JSON"),
        ("[1, 2]", "a JSON list; expected COCO keypoint annotations"),
        ("{}", "no list of 'images'"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, message):
    refused(written(tmp_path, text), message)


def test_a_file_of_bytes_is_refused(tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")

    refused(path, "not whole JSON")


def test_a_file_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "none.json", "No such file")
    refused(tmp_path, "Is a directory")


def test_missing_pictures_are_counted(tmp_path):
    records = coco.load(GOOD, tmp_path).images
    (tmp_path / "b.png").write_bytes(b"x")

    with pytest.raises(
        UserError, match=r"^1 of 2 images are missing, first deeper/a\.png; give their folder"
    ) as caught:
        coco.require_files(records)
    assert "b.png" not in str(caught.value)


def test_pictures_that_are_there_or_drawn_are_enough(tmp_path):
    (tmp_path / "deeper").mkdir()
    for name in ("b.png", "deeper/a.png"):
        Path(tmp_path / name).write_bytes(b"x")

    coco.require_files(coco.load(GOOD, tmp_path).images)
    coco.require_files(coco.load(GOOD).images)
