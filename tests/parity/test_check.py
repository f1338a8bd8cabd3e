"""`--check`: every kind of target is proved against another runtime, and a wrong one is found out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import parity, to_onnx
from converters.check import check, check_images, report_path
from shared import framework as frameworks
from shared import weights
from shared.arch import catalogue
from shared.errors import WeightError
from shared.preprocess import CAFFE

pytestmark = pytest.mark.parity
MODELS = Path(__file__).parents[3] / "shared" / "data" / "caffe_models"


@pytest.fixture(scope="module")
def source(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "source.safetensors"
    weights.write(path, *small("coco18", stages=2))
    return path


def write_target(path, arrays, info):
    """A target of the kind that its name says."""
    framework = {".pth": "torch", ".h5": "keras"}.get(path.suffix)
    if path.suffix == ".onnx":
        to_onnx.write(arrays, info, path)
    elif framework is None:
        weights.write(path, arrays, info)
    else:
        network = frameworks.module(framework, "models").build(info.spec)
        frameworks.module(framework, "weights").set_arrays(network, arrays)
        frameworks.module(framework, "weights").write_native(path, network, info)
    return path


@pytest.mark.parametrize(
    ("name", "framework", "runtimes"),
    [
        ("w.safetensors", "torch", ("keras", "torch")),
        ("w.safetensors", "keras", ("torch", "keras")),
        ("w.pth", "torch", ("keras", "torch")),
        ("w.weights.h5", "keras", ("torch", "keras")),
        pytest.param("w.onnx", "torch", ("torch", "onnxruntime"), marks=pytest.mark.slow),
    ],
)
def test_a_faithful_target_passes_against_another_runtime(source, name, framework, runtimes, tmp_path):
    target = write_target(tmp_path / name, *weights.read(source))

    found = check(source, target, framework=framework)

    assert found["passed"]
    assert found["worst"]["ratio"] < parity.GATE
    assert (found["reference"]["runtime"].split()[0], found["candidate"]["runtime"].split()[0]) == runtimes
    assert found["reference"]["sha256"] == weights.sha256(source)
    assert found["candidate"]["sha256"] == weights.sha256(target)
    assert json.loads((tmp_path / f"{name}.parity.json").read_text()) == found
    assert [len(rows) for rows in found["inputs"].values()] == [4, 4, 4]


def test_a_damaged_target_is_named_with_its_worst_stage(source, tmp_path):
    arrays, info = weights.read(source)
    name = "Mconv7_stage2_L2.bias"
    target = write_target(tmp_path / "w.safetensors", {**arrays, name: arrays[name] + 1}, info)

    with pytest.raises(WeightError, match=r"w\.safetensors: stage Mconv7_stage2_L2 differs from source"):
        check(source, target, framework="torch")

    assert json.loads(report_path(target).read_text())["passed"] is False


def test_another_preprocessing_is_found_out(source, tmp_path):
    arrays, info = weights.read(source)
    target = write_target(tmp_path / "w.safetensors", arrays, replace(info, preprocess=replace(CAFFE, order="rgb")))

    with pytest.raises(WeightError, match="differs from source"):
        check(source, target, framework="keras")


def test_another_architecture_is_found_out(source, small, tmp_path):
    target = write_target(tmp_path / "w.safetensors", *small("mpi15", stages=2))

    with pytest.raises(WeightError, match="stage conv5_5_CPM_L1: shape"):
        check(source, target, framework="torch")


def test_a_missing_target_is_an_error(source, tmp_path):
    with pytest.raises(WeightError, match="no such file; expected the converted file"):
        check(source, tmp_path / "w.safetensors", framework="torch")


@pytest.mark.skipif(not MODELS.is_dir(), reason="no ../shared/data/caffe_models here")
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_caffemodel_is_checked_in_opencv(framework, tmp_path):
    from converters import sources

    prototxt, caffemodel = MODELS / "tiny_body25.prototxt", MODELS / "tiny_body25.caffesave.caffemodel"
    target = tmp_path / "w.safetensors"
    weights.write(target, *sources.read(caffemodel, prototxt=prototxt))

    found = check(caffemodel, target, prototxt=prototxt, framework=framework)

    assert found["passed"]
    assert "opencv" in found["reference"]["runtime"].lower()


def test_the_images_suit_the_network():
    usual = check_images(catalogue.spec("coco18"))
    single = check_images(catalogue.spec("mobilenet_v2_small"))

    assert any(image.shape[0] == 2 for image in usual.values())
    assert any(image.shape[1] % 8 and image.shape[2] % 8 for image in usual.values())
    assert all(image.shape[0] == 1 for image in single.values())
    assert not any(image.shape[1] % 8 or image.shape[2] % 8 for image in single.values())
    again = check_images(catalogue.spec("mpi15"))
    assert all(np.array_equal(image, again[name]) for name, image in usual.items())
