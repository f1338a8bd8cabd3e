"""eval/run.py with networks of one person: boxes, the same results by both frameworks, MPII, and bad input."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from eval import cli
from eval.runner import PART
from shared import pckh, weights
from shared.codec.keypoints import KEYPOINTS
from shared.initial import initial
from shared.oks import SUPPRESSIONS
from shared.pckh import NAMES, Truth
from shared.recipes import HRNET_BUILTIN
from shared.scenes import dataset
from shared.weights import SHIPPED
from tests.commands.test_evaluating_bad_input import refused

RESULTS = ["metrics.json", "predictions.json", "report.html"]
GT = ("--boxes", "gt")
PLACE = 0.02  # px of the image: both frameworks write a thousandth, of maps that differ in their last bits


def untrained(folder, skeleton):
    """A tiny HRNet whose maps reach the height of trained ones, so that scores are not all zero."""
    recipe = replace(HRNET_BUILTIN, width=1 / 8, size=(64, 64), skeleton=skeleton)
    info, arrays = initial(recipe)
    arrays["final_layer.weight"] = arrays["final_layer.weight"] * 10
    path = folder / f"{skeleton}.safetensors"
    weights.write(path, arrays, info)
    return path


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("weights"), "coco17")


@pytest.fixture(scope="module")
def person16(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("weights"), "mpii16")


@pytest.fixture(scope="module")
def detections(tmp_path_factory):
    """Boxes on the first scene and none on the second; and a path for others."""
    people = [a for a in dataset.annotations("val", range(1))["annotations"] if not a["iscrowd"]]
    entries = [
        {"image_id": 1, "category_id": 1, "bbox": a["bbox"], "score": 0.9 - 0.2 * i} for i, a in enumerate(people)
    ]
    path = tmp_path_factory.mktemp("boxes") / "detections.json"
    path.write_text(json.dumps(entries))
    return path


@pytest.fixture(scope="module")
def mpii(tmp_path_factory):
    """The options of three made pictures with four people."""
    folder, entries = tmp_path_factory.mktemp("mpii"), []
    (folder / "images").mkdir()
    points = np.random.default_rng(0).uniform(20, 100, (4, 16, 2)).round(1)
    for n, name in enumerate(("b.jpg", "a.jpg", "b.jpg", "c.jpg")):
        picture = np.random.default_rng(n).integers(0, 256, (12, 15, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / name), cv2.resize(picture, (150, 120)))
        box = {"image": name, "center": [60 + 10 * n, 55], "scale": 0.5}
        entries.append({**box, "joints": points[n].tolist(), "joints_vis": [1] * 16})
    (folder / "valid.json").write_text(json.dumps(entries))
    heads = np.tile(np.array([(10.0, 10), (70, 90)]), (4, 1, 1))
    pckh.write(Truth(points, np.zeros((4, len(NAMES)), bool), heads), folder / "gt_valid.json")
    return ("--data", "mpii", "--annotations", folder / "valid.json", "--images", folder / "images")


@pytest.fixture
def run(evaluate, tmp_path, monkeypatch):
    """A function that runs the command, and gives the folder under another name with its metrics and predictions."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))

    def made(name, *arguments):
        assert evaluate(*arguments) == 0
        out = (tmp_path / "out").rename(tmp_path / name)
        assert sorted(path.name for path in out.iterdir()) == RESULTS
        return json.loads((out / "metrics.json").read_text()), json.loads((out / "predictions.json").read_text())

    return made


@pytest.mark.slow
def test_both_frameworks_predict_the_same_under_the_same_protocol(run, person):
    options = ("--weights", person, *GT, "--limit", 2, "--flip", "--decoder", "softargmax")
    (ours, found), (theirs, other) = (run(name, *options, "--framework", name) for name in ("torch", "keras"))

    assert ours["protocol_sha256"] == theirs["protocol_sha256"]
    assert ours["protocol"]["boxes"] == {"source": "ground truth"}
    assert len(found) == len(other) > 1
    assert max(entry["score"] for entry in found) > 0.1
    for one, another in zip(found, other, strict=True):
        assert one["image_id"] == another["image_id"]
        assert one["score"] == pytest.approx(another["score"], abs=2e-5)
        np.testing.assert_allclose(one["keypoints"], another["keypoints"], atol=PLACE)
    assert ours["numbers"] == pytest.approx(theirs["numbers"], abs=1e-3)


def test_options_change_the_protocol_and_the_predictions(run, person, detections):
    plain, found = run("plain", "--weights", person, *GT, "--limit", 2)
    assert "details" not in plain
    seen = {plain["protocol_sha256"]: found}
    for name, options in {
        "argmax": (*GT, "--decoder", "argmax"),
        "flip": (*GT, "--flip"),
        "shift": (*GT, "--flip", "--no-shift"),
        "size": (*GT, "--size", "96x64"),
        "detections": ("--boxes", detections),
    }.items():
        metrics, predictions = run(name, "--weights", person, "--limit", 2, *options)
        assert predictions not in seen.values(), name
        seen[metrics["protocol_sha256"]] = predictions
    assert len(seen) == 6
    metrics, predictions = run("soft", "--weights", person, "--limit", 2, *GT, "--nms", "none")
    assert metrics["protocol_sha256"] not in seen
    assert len(predictions) >= len(found)


def test_boxes_of_a_detector_may_miss_an_image(run, person, detections):
    metrics, predictions = run("found", "--weights", person, "--boxes", detections, "--limit", 2, "--nms", "none")

    n = len(json.loads(detections.read_text()))
    assert [p["image_id"] for p in predictions] == [1] * n
    assert metrics["protocol"]["boxes"]["source"] == "detections"
    assert metrics["images"] == 2
    scores = [p["score"] for p in predictions]
    assert scores == sorted(scores, reverse=True)
    fewer, _ = run(
        "fewer", "--weights", person, "--boxes", detections, "--box-threshold", 0.85, "--limit", 2, "--nms", "none"
    )
    assert fewer["detections"] == 1 < n
    assert fewer["protocol"]["boxes"]["threshold"] == 0.85


def test_a_run_is_resumed_and_shared_to_the_same_bytes(evaluate, run, tmp_path, person, capsys):
    options = ("--weights", person, *GT, "--limit", 2)
    run("whole", *options)
    whole = (tmp_path / "whole" / "predictions.json").read_bytes()

    assert evaluate(*options, "--shard", "0/2") == 0
    assert "part 0 of 2 is done" in capsys.readouterr().out
    assert evaluate(*options, "--shard", "1/2") == 0
    assert (tmp_path / "out" / "predictions.json").read_bytes() == whole
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS

    capsys.readouterr()
    assert evaluate(*options, "--resume") == 0
    assert f"{(tmp_path / 'out' / 'report.html')}" in capsys.readouterr().out


def test_a_stopped_run_goes_on_from_its_lines(evaluate, run, tmp_path, person, monkeypatch, benchmark):
    options = ("--weights", person, *GT, "--limit", 2)
    run("whole", *options)
    from eval import data

    def stopping(record):
        if record.id == 2:
            raise KeyboardInterrupt
        return benchmark.read(record)

    with monkeypatch.context() as patch:
        patch.setattr(data, "builtin", lambda: replace(benchmark, read=stopping))
        assert evaluate(*options) == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == [PART]
    assert evaluate(*options, "--resume") == 0

    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["images_timed"] == 1
    both = [(tmp_path / name / "predictions.json").read_bytes() for name in ("whole", "out")]
    assert both[0] == both[1]


def test_mpii_runs_to_its_numbers_and_a_report(run, tmp_path, person16, mpii):
    metrics, predictions = run("mpii", "--weights", person16, *mpii, "--flip")

    assert list(metrics["numbers"])[-3:] == ["Mean", "Mean@0.10", "Mean@0.11"]
    assert 0 <= metrics["numbers"]["Mean"] < 100
    assert [p["image_id"] for p in predictions] == [0, 0, 1, 2]
    assert {len(p["keypoints"]) for p in predictions} == {48}
    assert metrics["protocol"]["metric"]["name"] == "MPII PCKh"
    assert metrics["protocol"]["ranking"] == {"visible": None, "nms": None}
    page = (tmp_path / "mpii" / "report.html").read_text()
    assert f"<h1>Mean {metrics['numbers']['Mean']:.3f}</h1>" in page
    assert "src='data:image/jpeg;base64,/9j/" in page
    assert "Joints farther off than half a head" in page
    assert metrics["details"]["Mean"]["@0.50"] == metrics["numbers"]["Mean"]
    assert f"<td>left_wrist</td><td>{metrics['details']['left_wrist']['@0.50']:.3f}</td>" in page
    part, _ = run("part", "--weights", person16, *mpii, "--flip", "--limit", 2)
    assert (part["images"], part["detections"]) == (2, 3)


BAD = {
    "no boxes": ((), "pose_hrnet_w18_v1 does not find people: give --boxes gt (those of the annotations, which makes"),
    "no file of boxes": (("--boxes", "none.json"), "--boxes none.json: No such file or directory; expected gt, or"),
    "height": ((*GT, "--height", "200"), "--height: is for networks that find people; pose_hrnet_w18_v1 is given"),
    "scales and fit": ((*GT, "--scales", "1,2", "--fit", "hl"), "--scales and --fit: are for networks that find"),
    "decoder of scenes": (
        (*GT, "--decoder", "fast"),
        "--decoder fast: is for networks that find people; choose argmax",
    ),
    "unknown decoder": ((*GT, "--decoder", "darc"), "--decoder darc: unknown (did you mean dark?)"),
    "size of no cells": ((*GT, "--size", "100x100"), "--size 100x100: expected height x width of a crop, multiples"),
    "size as one number": ((*GT, "--size", "128"), "--size 128: expected HEIGHTxWIDTH in pixels"),
    "size of a poster": ((*GT, "--size", "64x32000"), "multiples of 32 up to 2048"),
    "nms": ((*GT, "--nms", "x"), "--nms x: unknown; choose one of hard, soft, soft-written, none"),
    "threshold of annotations": ((*GT, "--box-threshold", "0.5"), "--box-threshold: is for a detector's boxes"),
    "stages": ((*GT, "--stages", "2"), "--stages 2: pose_hrnet_w18_v1 has 1 here"),
    "truth": ((*GT, "--truth", "gt_valid.mat"), "--truth: is for --data mpii"),
}


def test_the_help_names_every_decoder_and_suppression(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")  # a name is not divided

    words = set(cli.parser().format_help().replace(",", " ").replace(";", " ").split())

    assert {*KEYPOINTS, *SUPPRESSIONS} <= words


@pytest.mark.parametrize("fault", BAD)
def test_bad_options_are_one_line(evaluate, tmp_path, capsys, person, fault):
    arguments, message = BAD[fault]

    refused(evaluate, tmp_path, capsys, message, "--limit", 1, "--weights", person, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (GT, "--boxes: is for networks of one person; coco18 finds people itself; leave it out"),
        (("--nms", "soft", "--size", "64x64"), "--size and --nms: are for networks of one person"),
        (("--no-shift",), "--shift: is for networks of one person"),
        (("--decoder", "dark"), "--decoder dark: unknown; choose one of"),
    ],
)
def test_options_of_one_person_are_refused_for_scenes(evaluate, tmp_path, capsys, arguments, message):
    refused(evaluate, tmp_path, capsys, message, "--limit", 1, "--weights", SHIPPED, *arguments)


def test_boxes_of_other_images_are_refused(evaluate, tmp_path, capsys, person, detections):
    other = detections.with_name("other.json")
    other.write_text(detections.read_text().replace('"image_id": 1,', '"image_id": 139,'))

    message = "no person of these 2 images with a score of 0 or more; is it of another image set?"
    refused(evaluate, tmp_path, capsys, message, "--limit", 2, "--weights", person, "--boxes", other)


def test_networks_and_data_of_other_keypoints_are_refused(
    evaluate, tmp_path, capsys, person, person16, mpii, coco, monkeypatch
):
    monkeypatch.setenv("POSE_CACHE", str(mpii[3].parent / "cache"))
    message = "has the keypoints mpii16, --data coco those of coco17; give other weights or other data"
    refused(evaluate, tmp_path, capsys, message, "--weights", person16, *coco, *GT)
    message = "has the keypoints coco17, --data mpii those of mpii16"
    refused(evaluate, tmp_path, capsys, message, "--weights", person, *mpii)
    message = "--data mpii: judges networks of one person, coco18 is none; use coco or builtin"
    refused(evaluate, tmp_path, capsys, message, "--weights", SHIPPED, *mpii)
    message = "--boxes x.json: --data mpii has boxes of its own; leave it out"
    refused(evaluate, tmp_path, capsys, message, "--weights", person16, *mpii, "--boxes", "x.json")
    message = "--nms: is for data with several boxes a person; --data mpii has one for each; leave it out"
    refused(evaluate, tmp_path, capsys, message, "--weights", person16, *mpii, "--nms", "soft")
    message = "--data mpii needs --annotations valid.json and --images DIR"
    refused(evaluate, tmp_path, capsys, message, "--weights", person16, *mpii[:4])
