"""eval/run.py on bad input: exit code 2, one line, and nothing written."""

import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from shared import framework, weights
from shared.arch import catalogue
from shared.weights import SHIPPED, ModelInfo
from tests.unit.damage import DAMAGE, jpeg

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--height", "64")  # as fast as it goes


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """Small weights of a hand network."""
    path = tmp_path_factory.mktemp("hands") / "hand.safetensors"
    spec = catalogue.spec("hand21")
    arrays = {name: np.zeros(shape, np.float32) for name, shape in spec.tensors().items()}
    weights.write(path, arrays, ModelInfo(spec))
    return path


def refused(evaluate, tmp_path, capsys, message, *arguments):
    """Exit code 2, one line, and nothing written."""
    capsys.readouterr()
    before = sorted(tmp_path.rglob("*"))

    assert evaluate(*arguments) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert sorted(tmp_path.rglob("*")) == before


BAD = {
    "unknown framework": (
        ("--framework", "jax"),
        "--framework jax: unknown; choose one of torch, keras, onnx, openvino, caffe",
    ),
    "nearly a framework": (("--framework", "troch"), "did you mean torch?"),
    "unknown model": (("--model", "coco19"), "did you mean coco18?"),
    "unknown decoder": (("--decoder", "referense"), "did you mean reference?"),
    "unknown fit": (("--fit", "openpoze"), "did you mean openpose?"),
    "unknown subset": (("--subset", "none.txt"), "--subset none.txt: unknown"),
    "unknown data": (("--data", "cocoa"), "did you mean coco?"),
    "mpii without files": (("--data", "mpii"), "--data mpii needs --annotations valid.json and --images DIR"),
    "boxes": (("--boxes", "gt"), "--boxes: is for networks of one person"),
    "no images": (("--limit", "0"), "--limit 0: expected 1 or more"),
    "images before zero": (("--limit", "-3"), "--limit -3: expected 1 or more"),
    "an empty batch": (("--batch", "0"), "--batch 0: expected 1 or more"),
    "another scorer": (("--scorer", "faster"), "--scorer faster: unknown"),
    "scales as words": (("--scales", "big"), "--scales big: expected numbers with commas"),
    "no scales": (("--scales", ""), "expected numbers with commas"),
    "scale 0": (("--scales", "1,0"), "expected numbers above 0"),
    "scale nan": (("--scales", "nan"), "expected numbers above 0"),
    "height 0": (("--height", "0"), "--height 0: expected 16 to 4096"),
    "height of a poster": (("--height", "100000"), "--height 100000: expected 16 to 4096"),
    "missing weights": (("--weights", "none.safetensors"), "none.safetensors: no such file; expected weights"),
    "a folder as weights": (("--weights", str(ROOT)), "expected weights"),
    "weights of another model": (("--model", "body25"), "body25"),
    "a paper's subset of scenes": (("--subset", "1160"), "give --data coco"),
    "coco without annotations": (("--data", "coco"), "--data coco needs --annotations FILE and --images DIR"),
    "coco's files without coco": (("--images", "."), "are for --data coco; add it"),
    "onnx without a file": (("--framework", "onnx"), "--out small.onnx"),
    "caffe without a file": (("--framework", "caffe"), "--out small.caffemodel"),
    "unknown device": (("--device", "tpu9"), "--device tpu9"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_arguments_are_one_line_and_exit_code_2(evaluate, tmp_path, capsys, fault):
    arguments, message = BAD[fault]

    refused(evaluate, tmp_path, capsys, message, "--limit", 1, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--limit", "three"), "argument --limit: invalid int value: 'three'"),
        (("--height", "3.5"), "argument --height: invalid int value: '3.5'"),
        (("--sizes", "3"), "unrecognized arguments: --sizes 3"),
    ],
)
def test_arguments_that_do_not_parse_are_one_line_too(evaluate, tmp_path, capsys, arguments, message):
    refused(evaluate, tmp_path, capsys, message, *arguments)


@pytest.mark.parametrize(("name", "suffix"), [("torch", "safetensors"), ("onnx", "onnx"), ("caffe", "caffemodel")])
@pytest.mark.parametrize("size", [0, 9, 100_000])
def test_weights_that_are_cut_off_are_refused(evaluate, tmp_path, capsys, name, suffix, size):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(SHIPPED.read_bytes()[:size])

    refused(evaluate, tmp_path, capsys, str(tmp_path / "w."), "--weights", path, "--framework", name)


@pytest.mark.parametrize(
    ("name", "framework", "message"),
    [
        (
            "w.weights.h5",
            "torch",
            "a file for --framework keras, and not for torch; choose that, or convert it: python ",
        ),
        ("w.pth", "keras", "for --framework torch, and not for keras"),
        ("w.safetensors", "onnx", "for --framework torch or keras, and not for onnx"),
        ("w.caffemodel", "openvino", "w.caffemodel --out NAME.onnx"),
        ("w.caffemodel.h5", "torch", "for --framework caffe, and not for torch"),
        ("w.pt", "caffe", "w.pt --out NAME.caffemodel"),
        ("w.onnx", "torch", "for --framework onnx or openvino, and not for torch; choose that\n"),
    ],
)
def test_weights_of_another_framework_say_whose_they_are(evaluate, tmp_path, capsys, name, framework, message):
    (tmp_path / name).write_bytes(b"weights")

    refused(evaluate, tmp_path, capsys, message, "--weights", tmp_path / name, "--framework", framework)


def test_a_network_without_people_is_refused(evaluate, tmp_path, capsys, hands):
    refused(evaluate, tmp_path, capsys, "hand21 does not find people", "--weights", hands)


@pytest.mark.parametrize("package", ["torch", "onnxruntime", "keras", "cv2"])
def test_a_framework_that_is_not_installed_is_named(evaluate, tmp_path, capsys, monkeypatch, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    name = next(name for name, needed in framework._PACKAGES.items() if needed == package)

    message = f"--framework {name} needs the package {package}, which is not installed here"
    refused(evaluate, tmp_path, capsys, message, "--framework", name)


def test_an_output_that_is_a_file_is_refused(evaluate, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")

    refused(evaluate, tmp_path, capsys, "is a file; expected a folder", "--limit", 1)
    assert (tmp_path / "out").read_text() == "mine"


def test_missing_pictures_and_folders_are_refused(evaluate, tmp_path, capsys, coco):
    refused(evaluate, tmp_path, capsys, "none: no such folder", *coco[:4], "--images", tmp_path / "none")
    message = "3 of 3 images are missing, first val_000000.png, val_000001.png"
    refused(evaluate, tmp_path, capsys, message, *coco[:4], "--images", tmp_path)
    refused(evaluate, tmp_path, capsys, "No such file", *coco, "--annotations", tmp_path / "none.json")


def damaged(png):
    """The same picture, half of it lost."""
    return DAMAGE["cut, and an end marker"](jpeg(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)))


PICTURES = {
    "cut off": (lambda data: data[: len(data) // 2], "val_000000.png: the picture is cut off"),
    "a damaged JPEG": (damaged, "bytes cannot be decoded (Corrupt JPEG data: premature end of data segment)"),
    "empty": (lambda data: b"", "val_000000.png: the file is empty"),
    "text": (lambda data: b"<html>not found</html>", "expected a JPEG, PNG, BMP or WebP picture"),
    "another size": (
        lambda data: cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes(),
        "val_000000.png: 30x20 px, but the annotations say",
    ),
}


@pytest.mark.parametrize("fault", PICTURES)
def test_a_bad_picture_is_one_line_and_leaves_nothing(evaluate, tmp_path, capsys, coco, fault):
    change, message = PICTURES[fault]
    folder = shutil.copytree(coco[5], tmp_path / "images")
    path = folder / "val_000000.png"
    path.write_bytes(change(path.read_bytes()))

    refused(evaluate, tmp_path, capsys, message, *coco[:4], "--images", folder, *SMALL)


def test_a_bad_picture_in_the_middle_keeps_what_was_done(evaluate, tmp_path, capsys, coco):
    folder = shutil.copytree(coco[5], tmp_path / "images")
    good = (folder / "val_000001.png").read_bytes()
    (folder / "val_000001.png").write_bytes(good[:100])
    arguments = (*coco[:4], "--images", folder, *SMALL)

    assert evaluate(*arguments) == 2
    assert "(1 images are done: go on with --resume)" in capsys.readouterr().err
    (folder / "val_000001.png").write_bytes(good)

    assert evaluate(*arguments, "--resume") == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["images_timed"] == 2
