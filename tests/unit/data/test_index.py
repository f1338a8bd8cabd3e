"""The index of an annotation file: nothing lost, and the complaints of `shared.coco`."""

import copy
import json
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

from shared import coco
from shared.data.index import Index
from shared.data.json_pieces import pieces
from shared.errors import UserError
from tests.unit.data.annotated import GOOD, KEYPOINTS, check_good, index_file

ROOT = Path(__file__).parents[3]
MINI = ROOT.parent / "shared" / "data" / "coco_mini" / "person_keypoints.json"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces and blocks so small that their ends fall everywhere."""
    monkeypatch.setattr("shared.data.json_pieces._PIECE", 7)
    monkeypatch.setattr("shared.data.json_pieces._BLOCK", 3)


def changed(*path, to):
    raw = copy.deepcopy(GOOD)
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return raw


@pytest.mark.parametrize("how", [Index.build, Index.open])
def test_an_index_has_all_that_was_annotated(tmp_path, how):
    check_good(how(index_file(tmp_path, GOOD)))


@pytest.mark.parametrize("order", ["annotations categories info images", "categories images annotations info"])
@pytest.mark.parametrize("indent", [None, 3])
def test_keys_may_come_in_any_order_and_pieces_end_anywhere(tmp_path, small_pieces, order, indent):
    raw = {key: GOOD[key] for key in order.split()}

    check_good(Index.build(index_file(tmp_path, json.dumps(raw, indent=indent))))


def test_an_annotation_may_lack_its_segment(tmp_path):
    raw = copy.deepcopy(GOOD)
    del raw["annotations"][0]["segmentation"]

    assert Index.build(index_file(tmp_path, raw)).segment(0) == []


def test_compressed_runs_are_unpacked(tmp_path):
    rng = np.random.default_rng(0)
    for density in (0.01, 0.5, 1.0):
        mask = np.asfortranarray(rng.random((40, 60)) < density).astype(np.uint8)
        packed = rle.encode(mask)
        segment = {"size": [40, 60], "counts": packed["counts"].decode()}
        runs = Index.build(index_file(tmp_path, changed("annotations", 0, "segmentation", to=segment))).segment(0)
        unpacked = np.repeat(np.arange(len(runs)) % 2, runs).reshape(60, 40).T
        np.testing.assert_array_equal(unpacked, mask)


WRONG = {
    "too few values": (("annotations", 0, "keypoints"), KEYPOINTS[:-3]),
    "too many values": (("annotations", 0, "keypoints"), [*KEYPOINTS, 1, 1, 1]),
    "keypoints as an object": (("annotations", 0, "keypoints"), {"nose": [1, 2, 2]}),
    "a word": (("annotations", 0, "keypoints", 3), "left"),
    "NaN": (("annotations", 0, "keypoints", 3), nan),
    "null": (("annotations", 0, "keypoints", 3), None),
    "infinite area": (("annotations", 1, "area"), inf),
    "visibility 3": (("annotations", 0, "keypoints", 2), 3),
    "negative width": (("annotations", 2, "bbox"), [1, 2, -3, 4]),
    "box of three": (("annotations", 0, "bbox"), [1, 2, 3]),
    "a car": (("annotations", 0, "category_id"), 3),
    "unknown image": (("annotations", 0, "image_id"), 8),
    "id as text": (("annotations", 0, "id"), "11"),
    "keypoints counted in halves": (("annotations", 0, "num_keypoints"), 2.5),
    "image id as text": (("images", 0, "id"), "7"),
    "fractional height": (("images", 0, "height"), 40.5),
    "no size": (("images", 0, "height"), 0),
    "annotation twice": (("annotations", 1, "id"), 11),
    "image twice": (("images", 0, "id"), 3),
    "image as a list": (("images", 0), [7, "b.png", 40, 60]),
    "annotation as a list": (("annotations", 0), [11, 7]),
    "images as an object": (("images",), {"7": "b.png"}),
    "annotations as a number": (("annotations",), 3),
    "no images": (("images",), []),
    "another category": (("categories",), [{"id": 2}]),
    "a name out of the folder": (("images", 0, "file_name"), "../b.png"),
    "an absolute name": (("images", 0, "file_name"), "/b.png"),
    "a name for Windows": (("images", 0, "file_name"), "c:b.png"),
}


def refused(path, match=None):
    with pytest.raises(UserError, match=match) as caught:
        Index.open(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert str(path) in message
    return message


@pytest.mark.parametrize("wrong", WRONG)
def test_what_shared_coco_refuses_is_refused_with_the_same_words(tmp_path, wrong, cache):
    path, value = WRONG[wrong]
    raw = changed(*path, to=value)
    if wrong == "image twice":
        raw["annotations"] = []
    source = index_file(tmp_path, raw)
    with pytest.raises(UserError) as caught:
        coco.load(source, tmp_path)

    assert refused(source) == str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize("key", ["id", "image_id", "category_id", "keypoints", "num_keypoints", "bbox", "iscrowd"])
def test_a_missing_value_is_named(tmp_path, key):
    raw = copy.deepcopy(GOOD)
    del raw["annotations"][1][key]

    refused(index_file(tmp_path, raw), key)


@pytest.mark.parametrize(
    "segment",
    [
        [[1, 2, 3]], [[1, 2, 3, nan]], [[1, 2, 3, 1e6]], [[1, 2, 3, "x"]], [[1, 2, 3, None]],
        [1, 2, 3, 4], "polygon", 5,
        {"size": [40, 60]}, {"size": [40, 60], "counts": [100]}, {"size": [40, 60], "counts": [2500, -100]},
        {"size": [40], "counts": [2400]}, {"size": [60, 40], "counts": [2400]}, {"size": [40, 60], "counts": "PPP"},
        {"size": [40, 60], "counts": "\u00e9"},
    ],
)  # fmt: skip
def test_a_segment_that_is_none_names_its_annotation(tmp_path, segment):
    raw = changed("annotations", 3, "segmentation", to=segment)

    refused(index_file(tmp_path, raw), "annotation 13 of image 7: (segmentation not understood|a mask of 40x60 px)")


def test_numbers_beyond_all_use_are_refused(tmp_path):
    refused(index_file(tmp_path, changed("annotations", 0, "id", to=10**30)), "beyond all use")
    refused(index_file(tmp_path, changed("images", 0, "height", to=10**30)), "beyond all use")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not whole JSON"),
        ("# Annotations", "not whole JSON"),
        *((json.dumps(GOOD)[:-n], "not whole JSON") for n in (1, 20, 100, 500, 1500)),
        (json.dumps(GOOD) + "{", "not whole JSON"),
        (json.dumps(GOOD).replace('"bbox":', '"bbox"'), "not whole JSON"),
        (json.dumps(GOOD).replace("}, {", "} {"), "not whole JSON"),
        ('{"images": ' + "[" * 100_000, "not whole JSON"),
        ("[1, 2]", "a JSON list; expected COCO keypoint annotations"),
        ("{}", "no list of 'images'"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, message):
    refused(index_file(tmp_path, text), message)


def test_a_file_of_bytes_or_none_is_refused(tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")

    refused(path, "not whole JSON")
    refused(tmp_path / "none.json", "No such file")
    refused(tmp_path, "Is a directory")


def test_pieces_give_every_value_as_json_does(tmp_path, small_pieces):
    raw = {"a": [], "b": [1, 23, -4.5e3, None, 'é"}]'], "c": {"d": [1]}, "b2": [[], {}], "e": 12345678901}
    path = tmp_path / "some.json"
    path.write_text("\n" + json.dumps(raw, ensure_ascii=False, indent=1) + " \n", encoding="utf-8")
    found = {}
    for key, value in pieces(path, {"a", "b", "b2", "c"}):
        found[key] = found[key] + value if isinstance(found.get(key), list) else value

    assert found == raw


@pytest.mark.skipif(not MINI.is_file(), reason="no ../shared/data/coco_mini")
def test_photographs_have_what_shared_coco_reads():
    found, expected = Index.open(MINI), coco.load(MINI)

    people = [person for image in found.image_ids.tolist() for person in expected.persons(image)]
    rows = found.by_image
    assert sorted(found.image_ids.tolist()) == [record.id for record in expected.images]
    assert found.ids[rows].tolist() == [person.id for person in people]
    np.testing.assert_array_equal(found.boxes[rows], [person.box for person in people])
    np.testing.assert_array_equal(found.keypoints[rows], [person.keypoints for person in people])
    assert found.crowd[rows].tolist() == [person.crowd for person in people]
    assert (found.n_keypoints == (found.keypoints[..., 2] > 0).sum(axis=1)).all()
    for row, person in zip(rows, people, strict=True):
        if isinstance(person.segmentation, list):
            assert [polygon.ravel().tolist() for polygon in found.segment(row)] == person.segmentation
        else:
            assert found.segment(row).tolist() == person.segmentation["counts"]
