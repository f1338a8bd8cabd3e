"""`--check` of published files of networks of one person: against another runtime, and a wrong conversion is found."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from converters import cli, parity, sources
from converters.check import check, check_images, report_path
from shared import weights
from shared.arch import catalogue
from shared.errors import WeightError
from shared.preprocess import IMAGENET_BGR
from tests.parity import deterministic

pytestmark = pytest.mark.parity
NAMES = ("pose_hrnet_w18_v1", "lpn_18h", "lpn_50", "pose_resnet_50")


def published(name, path, width):
    """A file as humanpose.pytorch writes it after an epoch."""
    arrays = deterministic.arrays(catalogue.spec(name, width=width))
    tensors = {f"module.{key}": torch.from_numpy(array) for key, array in arrays.items()}
    torch.save({"epoch": 1, "state_dict": tensors, "perf": np.float64(0.5)}, path)
    return path


def convert(source, out, *options):
    return cli.convert([str(source), "--out", str(out), "--check", *options])


@pytest.mark.parametrize(
    ("name", "target", "runtimes"),
    [
        ("lpn_18h", "w.safetensors", ("keras", "torch")),
        *(pytest.param(name, "w.safetensors", ("keras", "torch"), marks=pytest.mark.slow) for name in NAMES[::2]),
        pytest.param("pose_resnet_50", "w.weights.h5", ("torch", "keras"), marks=pytest.mark.slow),
        pytest.param("lpn_18h", "w.pth", ("keras", "torch"), marks=pytest.mark.slow),
        *(pytest.param(name, "w.onnx", ("torch", "onnxruntime"), marks=pytest.mark.slow) for name in NAMES),
    ],
)
def test_a_published_file_is_proved_in_another_runtime(name, target, runtimes, tmp_path, figure):
    source = published(name, tmp_path / "checkpoint.pth", 1 / 8)

    assert convert(source, tmp_path / target) == 0

    found = json.loads(report_path(tmp_path / target).read_text())
    assert found["passed"]
    assert found["gate"] == parity.GATE == 5e-5
    assert (found["reference"]["runtime"].split()[0], found["candidate"]["runtime"].split()[0]) == runtimes
    assert list(found["inputs"]) == ["noise 2x64x96", "noise 1x256x192", "shapes 1x96x64"]
    figure(f"check of {name} at an eighth, {target}: {found['worst']['ratio']:.1e}")


def test_what_is_said_of_the_source_holds_for_the_check_too(tmp_path):
    source = published("lpn_18h", tmp_path / "lpn_18h_384x288.pth", 1 / 16)
    out = tmp_path / "w.safetensors"

    assert convert(source, out, "--size", "384x288", "--preprocess", "imagenet_bgr", "--model", "lpn_18h") == 0

    info = weights.read(out)[1]
    assert (info.spec.size, info.preprocess) == ((384, 288), IMAGENET_BGR)


@pytest.mark.parametrize("wrong", ["layer1.0.bn1.running_mean", "layer4.1.att.channel_add_conv.3.bias"])
def test_a_conversion_that_changed_one_tensor_is_found_out(wrong, tmp_path):
    source = published("lpn_18h", tmp_path / "checkpoint.pth", 1 / 16)
    arrays, info = sources.read(source)
    weights.write(tmp_path / "w.safetensors", {**arrays, wrong: arrays[wrong] + np.float32(0.05)}, info)

    with pytest.raises(WeightError, match=r"w\.safetensors: stage final_layer differs from checkpoint\.pth"):
        check(source, tmp_path / "w.safetensors")


def test_a_conversion_with_the_other_order_of_colours_is_found_out(tmp_path):
    source = published("lpn_18h", tmp_path / "checkpoint.pth", 1 / 16)
    arrays, info = sources.read(source)
    weights.write(tmp_path / "w.safetensors", arrays, replace(info, preprocess=IMAGENET_BGR))

    with pytest.raises(WeightError, match="differs from checkpoint"):
        check(source, tmp_path / "w.safetensors")


@pytest.mark.slow
def test_w32_passes_at_its_full_size(tmp_path, figure):
    source = published("pose_hrnet_w32", tmp_path / "checkpoint.pth", 1)

    assert convert(source, tmp_path / "w.safetensors") == 0

    found = json.loads(report_path(tmp_path / "w.safetensors").read_text())
    assert found["worst"]["ratio"] <= parity.GATE
    figure(f"check of pose_hrnet_w32 at its full size: {found['worst']['ratio']:.1e}")


def test_the_images_are_of_sizes_that_such_a_network_takes():
    images = check_images(catalogue.spec("pose_hrnet_w32", size=(384, 288)))

    assert [image.shape for image in images.values()] == [(2, 64, 96, 3), (1, 384, 288, 3), (1, 96, 64, 3)]
