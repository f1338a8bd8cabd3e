"""demo/picture.py: a picture of what a network sees, or one line and nothing."""

import json

import cv2
import numpy as np
import pytest

from demo.pictures import main
from shared.scenes.dataset import read
from shared.skeleton import COCO18


@pytest.fixture
def scene(tmp_path):
    """A drawn scene with three people, as a PNG."""
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), read("val", 7)[..., ::-1])
    return path


def test_people_heatmaps_and_fields_are_drawn_side_by_side(scene, capsys):
    assert main([str(scene)]) == 0

    height, width = read("val", 7).shape[:2]
    drawn = cv2.imread(str(scene.with_suffix(".poses.png")))
    assert drawn.shape == (height + 28, 3 * width + 12, 3)
    assert capsys.readouterr().out == f"3 people; {scene.with_suffix('.poses.png')}\n"
    assert {path.name for path in scene.parent.iterdir()} == {"scene.poses.png", "scene.png"}


def test_poses_are_printed_as_json(scene, capsys):
    out = scene.with_name("drawn.jpg")

    assert main([str(scene), "--json", "--out", str(out), "--decoder", "reference-openpose", "--flip"]) == 0

    people = json.loads(capsys.readouterr().out)
    assert len(people) == 3
    assert all(list(person["keypoints"]) == list(COCO18.keypoints) for person in people)
    assert all(np.shape(point) == (3,) for person in people for point in person["keypoints"].values())
    assert cv2.imread(str(out)) is not None


def test_an_empty_picture_has_nobody(tmp_path, capsys):
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((120, 160, 3), 128, np.uint8))

    assert main([str(path)]) == 0

    assert capsys.readouterr().out.startswith("0 people; ")


BAD = {
    "no such picture": (["none.png"], "none.png: no such file"),
    "cut off": (["cut.png"], "cut off after 2000 bytes"),
    "text": (["text.txt"], "expected a JPEG, PNG, BMP or WebP picture"),
    "a folder": (["."], "not a file"),
    "another kind of output": (["scene.png", "--out", "x.gif"], "expected a name that ends in .png or .jpg"),
    "output over the picture": (["scene.png", "--out", "scene.png"], "is the picture itself"),
    "output in a file": (["scene.png", "--out", "text.txt/x.png"], "--out"),
    "no such weights": (["scene.png", "--weights", "none.safetensors"], "no such file; expected a weight file"),
    "unknown decoder": (["scene.png", "--decoder", "refernce"], "did you mean reference?"),
    "unknown framework": (["scene.png", "--framework", "caffe2"], "did you mean caffe?"),
    "unknown geometry": (["scene.png", "--fit", "klm"], "--fit klm: unknown"),
    "no height": (["scene.png", "--height", "0"], "--height 0: expected 16 to 4096 px"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(fault, scene, capsys, monkeypatch):
    monkeypatch.chdir(scene.parent)
    scene.with_name("cut.png").write_bytes(scene.read_bytes()[:2000])
    scene.with_name("text.txt").write_text("no picture")
    before = {path.name: path.read_bytes() for path in scene.parent.iterdir()}
    arguments, message = BAD[fault]

    assert main(arguments) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in scene.parent.iterdir()} == before
