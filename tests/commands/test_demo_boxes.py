"""demo/picture.py with a network of one person: on boxes, or on the whole picture."""

import json

import cv2
import numpy as np
import pytest

from demo.pictures import main as demo
from shared.scenes import dataset
from shared.skeleton import MPII16

TITLE, GAP = 28, 6  # px of `shared.draw.tile`


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), dataset.read("val", 0)[..., ::-1])
    return path


@pytest.mark.parametrize(("boxes", "count"), [(None, "1 person"), ("10,20,100,200;200,50.5,80,160", "2 people")])
def test_a_network_of_one_person_is_shown_on_boxes_or_on_the_whole_picture(scene, nets, boxes, count, capsys):
    options = ["--boxes", boxes] if boxes else []

    assert demo([str(scene), "--weights", str(nets / "coco17.safetensors"), *options]) == 0

    height, width = dataset.read("val", 0).shape[:2]
    assert cv2.imread(str(scene.with_suffix(".poses.png"))).shape == (height + TITLE, 2 * width + GAP, 3)
    assert capsys.readouterr().out == f"{count}; {scene.with_suffix('.poses.png')}\n"


def test_the_demo_gives_each_box_its_pose_in_their_order(scene, nets, capsys):
    boxes = "200,50,80,160;10,20,100,200;10,20,100,200"

    assert demo([str(scene), "--weights", str(nets / "mpii16.safetensors"), "--boxes", boxes, "--json", "--flip"]) == 0

    people = json.loads(capsys.readouterr().out)
    places = [np.array(list(person["keypoints"].values())) for person in people]
    assert [list(person["keypoints"]) for person in people] == [list(MPII16.keypoints)] * 3
    assert (places[0][:, 0] > 120).all()
    assert (places[1][:, 0] < 120 + 70).all()
    np.testing.assert_array_equal(places[1], places[2])


WRONG = {
    "no box": ("--boxes", "10,20,100", "--boxes 10,20,100: expected X,Y,W,H"),
    "words": ("--boxes", "a,b,c,d", "expected X,Y,W,H"),
    "no width": ("--boxes", "10,20,0,5", "sides above 0"),
    "infinite": ("--boxes", "10,20,inf,5", "sides above 0"),
    "huge": (
        "--boxes",
        "0,0,1e30,1e30",
        "--boxes 0,0,1e30,1e30: expected X,Y,W,H of a box with sides above 0, all within",
    ),
    "far": ("--boxes", "0,0,5,5;-1e12,0,2e12,10", "all within 100,000 px"),
    "outside": ("--boxes", "9000,20,10,10", "in a picture of "),
    "of scenes": ("--height", "184", "--fit and --height: are for networks that find people"),
    "a decoder of scenes": ("--decoder", "reference", "--decoder reference: unknown"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_boxes_are_refused_by_the_demo(fault, scene, nets, capsys):
    *options, message = WRONG[fault]

    assert demo([str(scene), "--weights", str(nets / "coco17.safetensors"), *options]) == 2

    assert message in capsys.readouterr().err
    assert not scene.with_suffix(".poses.png").exists()


def test_the_demo_refuses_boxes_for_a_network_that_finds_people(scene, capsys):
    assert demo([str(scene), "--boxes", "1,2,3,4"]) == 2

    assert "--boxes: is for networks of one person; coco18 finds people" in capsys.readouterr().err
