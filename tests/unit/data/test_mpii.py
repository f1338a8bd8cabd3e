"""MPII as training data: joints and boxes counted from 0, people of an image together."""

import json
from math import nan

import cv2
import numpy as np
import pytest

from shared.data.folder import Options
from shared.data.mpii import mpii
from shared.errors import UserError
from shared.skeleton import MPI15, MPII16


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))


def entry(image="a.png", centre=(60, 50), scale=0.5, unknown=(), **values):
    joints = [[10.0 + k, 20.5 + 2 * k] for k in range(16)]
    seen = [int(k not in unknown) for k in range(16)]
    for k in unknown:
        joints[k] = [-1.0, -1.0]
    return {"joints": joints, "joints_vis": seen, "image": image, "center": [*centre], "scale": scale, **values}


def written(where, entries):
    (where / "images").mkdir(exist_ok=True)
    for name in {e["image"] for e in entries if isinstance(e, dict) and isinstance(e.get("image"), str)}:
        cv2.imwrite(str(where / "images" / name), np.full((90, 120), ord(name[0]), np.uint8))
    path = where / "train.json"
    path.write_text(json.dumps(entries))
    return path, where / "images"


def test_joints_and_boxes_count_from_0(tmp_path):
    (raw,) = mpii(*written(tmp_path, [entry(unknown=(0, 9))]))

    assert raw.points.shape == (1, 16, 3)
    assert raw.points[0, 1].tolist() == [10, 21.5, 2]  # 11 and 22.5 in the file
    assert raw.points[0, [0, 9]].tolist() == [[0, 0, 0]] * 2
    # 100 px about (60, 50 + 7.5) from 1; HRNet multiplies both sides by 1.25 as it does with COCO's boxes
    assert raw.boxes.tolist() == [[9, 6.5, 100, 100]]
    assert raw.centre == (59, 56.5)
    assert raw.scale == 100 / 368
    assert (raw.mask, raw.main) == (None, True)


def test_people_of_an_image_are_together(tmp_path):
    files = written(tmp_path, [entry("b.png"), entry("a.png"), entry("b.png", (90, 50)), entry("b.png", (66, 50))])
    people = [*mpii(*files)]
    images = [*mpii(*files, Options(samples="image"))]

    assert [raw.image[0, 0, 0] for raw in people] == [ord(c) for c in "bba"]
    assert [raw.name for raw in people] == ["b.png, annotation 0", "b.png, annotation 2", "a.png, annotation 1"]
    assert [raw.boxes[:, 0].tolist() for raw in people] == [[9, 39, 15], [39, 9, 15], [9]]
    assert [len(raw.points) for raw in images] == [3, 1]
    assert mpii(*files).skeleton is MPII16


def test_the_skeleton_fits_the_networks(tmp_path):
    (raw,) = mpii(*written(tmp_path, [entry(unknown=(6,))]))
    points = MPI15.convert_from(MPII16, raw.points)

    assert points[0, MPI15.index("head_top")].tolist() == raw.points[0, 9].tolist()
    assert points[0, MPI15.index("chest")].tolist() == [0, 0, 0]  # between thorax and the unknown pelvis


def test_a_person_without_a_centre_is_never_the_main_one(tmp_path):
    files = written(tmp_path, [entry(centre=(-1, -1), scale=-1), entry()])
    (raw,) = mpii(*files)

    assert raw.name == "a.png, annotation 1"
    assert raw.boxes.tolist() == [[9, 6.5, 100, 100], [0, 0, 0, 0]]


def test_identity_names_the_kind(tmp_path):
    assert mpii(*written(tmp_path, [entry()])).identity()["name"] == "mpii"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"joints": [[1, 2]] * 15}, r"entry 1 is not understood \(cannot reshape"),
        ({"joints": [[1, 2]] * 15 + [[1]]}, "entry 1 is not understood"),
        ({"joints_vis": [1] * 15 + [2]}, "entry 1: joints_vis 2, expected 0 or 1"),
        ({"joints_vis": None}, "entry 1 is not understood"),
        ({"center": [1, nan]}, "entry 1: NaN, infinity or a negative scale"),
        ({"scale": -2.0}, "entry 1: NaN, infinity or a negative scale"),
        ({"scale": "large"}, "entry 1 is not understood"),
        ({"scale": 1e300}, r"entry 1: centre 60, 50 and scale 1e\+300, a box beyond 100,000 px; expected px of"),
        ({"center": [1e12, 0]}, r"entry 1: centre 1e\+12, 0 and scale 0.5, a box beyond 100,000 px"),
        ({"image": "../a.png"}, "entry 1 has the file name '../a.png'; expected one in the folder"),
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path, wrong, message):
    path, images = written(tmp_path, [entry()])
    path.write_text(json.dumps([entry(), entry() | wrong]))

    with pytest.raises(UserError, match=message) as caught:
        mpii(path, images)
    assert "\n" not in str(caught.value)


def test_a_test_file_without_joints_names_what_it_lacks(tmp_path):
    lacking = entry()
    del lacking["joints"]

    with pytest.raises(UserError, match=r"entry 0 is not understood \('joints'\); expected MPII's train.json or valid"):
        mpii(*written(tmp_path, [lacking]))


@pytest.mark.parametrize("text", ["", "[", "{}", "[]", '{"images": []}', "[3]", "[" * 100_000])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "train.json"
    path.write_text(text)

    with pytest.raises(UserError, match=r"expected MPII's train\.json"):
        mpii(path, tmp_path)


def test_missing_images_are_counted(tmp_path):
    path, images = written(tmp_path, [entry("a.png"), entry("b.png")])
    (images / "b.png").unlink()

    with pytest.raises(UserError, match=r"1 of 2 images are missing, first b\.png"):
        mpii(path, images)
