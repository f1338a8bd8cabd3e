"""What identifies a run: its protocol, and which images it is over."""

import hashlib
import json

import numpy as np
import pytest

from eval import data
from eval.metric import CocoAp
from eval.protocol import differences, digest, protocol
from shared import coco
from shared.errors import UserError


def settings():
    return {
        "data": {"name": "coco", "annotations_sha256": "ab"},
        "subset": "1160",
        "image_ids": [3, 1, 2],
        "predictor": {"decoder": {"name": "reference", "smooth": 3.0}, "height": 368, "scales": [1.0], "flip": False},
        "model": {"spec": {"name": "coco18", "stages": 6}, "preprocess": {"order": "bgr"}},
        "metric": {"name": "COCO keypoint AP (OKS)"},
        "boxes": {"source": "detections", "sha256": "ef"},
    }


CHANGES = {
    "data.annotations_sha256": ("data", {"name": "coco", "annotations_sha256": "cd"}),
    "subset.name": ("subset", "5000"),
    "subset.ids_sha256": ("image_ids", [3, 1, 4]),
    "decoder.smooth": (
        "predictor",
        {"decoder": {"name": "reference", "smooth": 0.0}, "height": 368, "scales": [1.0], "flip": False},
    ),
    "height": ("predictor", {**settings()["predictor"], "height": 184}),
    "scales": ("predictor", {**settings()["predictor"], "scales": [0.5, 1.0]}),
    "flip": ("predictor", {**settings()["predictor"], "flip": True}),
    "model.spec.stages": ("model", {"spec": {"name": "coco18", "stages": 3}, "preprocess": {"order": "bgr"}}),
    "metric.name": ("metric", {"name": "MPII PCKh"}),
    "boxes.sha256": ("boxes", {"source": "detections", "sha256": "01"}),
    "boxes": ("boxes", None),
    "model.preprocess.order": ("model", {"spec": {"name": "coco18", "stages": 6}, "preprocess": {"order": "rgb"}}),
}


def test_equal_settings_have_one_hash_whatever_the_order_of_images_and_keys():
    turned = {**settings(), "image_ids": [2, 3, 1], "data": {"annotations_sha256": "ab", "name": "coco"}}

    assert digest(protocol(**settings())) == digest(protocol(**turned))


def test_the_hash_survives_a_file():
    record = protocol(**settings())

    assert digest(json.loads(json.dumps(record))) == digest(record)


@pytest.mark.parametrize("name", CHANGES)
def test_every_changed_setting_changes_the_hash_and_is_named(name):
    key, value = CHANGES[name]
    a, b = protocol(**settings()), protocol(**{**settings(), key: value})

    assert digest(a) != digest(b)
    (difference,) = differences(a, b)
    assert difference.startswith(f"{name}: ")


def test_equal_protocols_have_no_differences():
    assert differences(protocol(**settings()), protocol(**settings())) == []


def test_a_setting_that_one_protocol_lacks_is_a_difference():
    assert differences({"a": 1}, {"a": 1, "boxes": None}) == ["boxes: absent, None"]
    assert differences({"a": {"b": 1}}, {"a": 2}) == ["a: {'b': 1}, 2"]


def made(n_images=12, name="coco"):
    """Data whose images with an even id have a person."""
    person = {"category_id": 1, "keypoints": [1, 2, 2] * 17, "num_keypoints": 17, "bbox": [0, 0, 2, 2]}
    raw = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 6} for i in range(1, n_images + 1)],
        "annotations": [{"id": i, "image_id": i, "area": 4, "iscrowd": 0, **person} for i in range(2, n_images + 1, 2)],
        "categories": [{"id": 1}],
    }
    return data.Data(coco.load(raw), lambda record: np.zeros((4, 6, 3), np.uint8), {"name": name}, CocoAp(raw))


def chosen(subset, annotations=None, **options):
    name, records = data.subset(made(**options), subset, annotations)
    return name, [record.id for record in records]


def listed(tmp_path, text, name="ids.txt"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def refused(subset, match, annotations=None, **options):
    with pytest.raises(UserError, match=match) as caught:
        chosen(subset, annotations, **options)
    assert "\n" not in str(caught.value)


def test_without_a_subset_all_images_are_chosen():
    assert chosen(None) == ("all", list(range(1, 13)))


@pytest.mark.parametrize("text", ["7\n2\n\n11\n", "1 2 x.jpg 4 6\n2 11 y.jpg 4 6\n3 7 z.jpg 4 6\n"])
def test_a_file_of_ids_chooses_them_in_the_order_of_ids(tmp_path, text):
    assert chosen(listed(tmp_path, text)) == ("listed", [2, 7, 11])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("3\n99\n98\n", "2 of 3 ids are not in the annotations, first 99"),
        ("3\n3\n", "2 ids, 1 of them different; expected each image once"),
        ("", "0 ids"),
        ("3\nb.jpg\n", "line 2: 'b.jpg'; expected an image id, or five columns"),
        ("3 4\n", "line 1: '3 4'; expected an image id"),
        ("-3\n", "line 1"),
        ("²\n", "line 1"),
    ],
)
def test_a_wrong_file_of_ids_is_refused(tmp_path, text, match):
    refused(listed(tmp_path, text), match)


def test_a_picture_as_a_file_of_ids_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")

    refused(str(tmp_path / "a.png"), r"a\.png, line 1")


def test_an_unknown_subset_is_refused():
    refused("1161", r"--subset 1161: unknown \(did you mean 1160\?\); choose one of 1160, 2693, 5000")


def test_cocos_subsets_are_refused_on_the_built_in_benchmark():
    refused("1160", "is one of COCO's; give --data coco", name="builtin")


@pytest.mark.parametrize("name", ["2693", "5000"])
def test_val2017s_subsets_are_refused_on_other_data(name):
    refused(name, f"--subset {name}: is of val2017's 5000 images .* found 12 and")


def test_val2017s_subsets_are_known_by_their_counts(monkeypatch):
    ids = chosen("5000", n_images=5000)[1]
    assert ids == list(range(1, 5001))
    refused("2693", "found 5000 and 2500", n_images=5000)


def test_the_papers_subset_needs_the_published_list_beside_the_annotations(tmp_path, monkeypatch):
    annotations, text = tmp_path / "person_keypoints_val2014.json", "1 3 a.jpg 4 6\n2 9 b.jpg 4 6\n"
    refused("1160", "no image_info_val2014_1k.txt beside person_keypoints_val2014.json", annotations)

    path = listed(tmp_path, text, data.LIST_1160)
    refused("1160", "is not the published list", annotations)

    monkeypatch.setattr(data, "_LIST_SHA256", hashlib.sha256(text.encode()).hexdigest()[:8])
    assert chosen("1160", annotations) == ("1160", [3, 9])
    assert path
