"""Published files of networks of one person: built here as their publishers save them, and read back equal."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from converters import cli, sources
from shared import framework as frameworks
from shared import weights
from shared.arch import catalogue
from shared.errors import WeightError
from shared.preprocess import IMAGENET, IMAGENET_BGR
from shared.weights import ModelInfo

MANIFESTS = Path(__file__).parents[4] / "shared" / "manifests"
needs_manifests = pytest.mark.skipif(not MANIFESTS.is_dir(), reason="no ../shared/manifests here")


def prefixed(tensors, prefix, head=""):
    """The names with a prefix, those of the head with another."""
    return OrderedDict(((head if name.startswith("final") else prefix) + name, t) for name, t in tensors.items())


def bare(tensors):
    return tensors


def without_counters(tensors):
    return OrderedDict((name, t) for name, t in tensors.items() if not name.endswith("num_batches_tracked"))


def checkpoint(tensors):
    """What humanpose.pytorch and HRNet write after every epoch; the accuracy is a number of NumPy's."""
    return {
        "epoch": 210,
        "model": "pose_hrnet",
        "state_dict": prefixed(tensors, "module.", "module."),
        "best_state_dict": tensors,
        "perf": np.float64(0.765),
        "optimizer": {
            "state": {0: {"step": 5, "exp_avg": torch.ones(2)}},
            "param_groups": [{"lr": 1e-5, "params": [0]}],
        },
    }


def mmpose_v0(tensors):
    meta = {"mmcv_version": "1.3", "config": "model = dict()", "time": "now"}
    return {"meta": meta, "state_dict": prefixed(tensors, "backbone.", "keypoint_head.")}


def mmpose_v1(tensors):
    about = {"sigmas": np.full(17, 0.05, np.float32), "colors": np.ones((17, 3), np.uint8), "names": {0: "nose"}}
    return {"meta": {"epoch": 210, "dataset_meta": about}, "state_dict": prefixed(tensors, "backbone.", "head.")}


def save(content, path, legacy=True):
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def assert_same(found, expected):
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


@pytest.mark.parametrize("legacy", [True, False], ids=["before PyTorch 1.6", "zip"])
@pytest.mark.parametrize("wrap", [bare, without_counters, checkpoint, mmpose_v0, mmpose_v1])
def test_every_container_is_read_back_equal(tmp_path, network, wrap, legacy):
    arrays, tensors, spec = network("pose_hrnet_w18_v1")
    path = save(wrap(tensors), tmp_path / "model_best.pth.tar", legacy)

    found, info = sources.read(path)

    assert_same(found, arrays)
    assert (info.spec, info.preprocess) == (spec, IMAGENET)
    assert (info.source, info.source_sha256) == (path.name, weights.sha256(path))


# (model, skeleton): the colours that its publisher's code feeds it.
COLOURS = {
    ("pose_hrnet_w18_v2", "coco17"): IMAGENET,
    ("pose_hrnet_w32", "mpii16"): IMAGENET,
    ("pose_resnet_50", "coco17"): IMAGENET_BGR,
    ("pose_resnet_101", "mpii16"): IMAGENET_BGR,
    ("lpn_50", "coco17"): IMAGENET_BGR,
    ("lpn_152", "coco17"): IMAGENET_BGR,
    ("lpn_50", "mpii16"): IMAGENET,
    ("lpn_18", "coco17"): IMAGENET,
    ("lpn_34h", "coco17"): IMAGENET,
    ("lpn_100", "coco17"): IMAGENET,
}


@pytest.mark.parametrize(("name", "skeleton"), COLOURS)
def test_network_keypoints_size_and_colours_follow_from_names_and_shapes(tmp_path, network, name, skeleton):
    size = {"coco17": (256, 192), "mpii16": (256, 256)}[skeleton]
    arrays, tensors, spec = network(name, skeleton=skeleton, size=size)

    found, info = sources.read(save(tensors, tmp_path / "final_state.pth"))

    assert_same(found, arrays)
    assert (info.spec, info.preprocess) == (spec, COLOURS[name, skeleton])


def test_of_a_file_of_two_publishers_the_user_says_the_colours(tmp_path, network, capsys):
    path = save(network("lpn_50")[1], tmp_path / "lpn_50_256x192.pth")

    assert sources.read(path, preprocess="imagenet")[1].preprocess == IMAGENET
    assert cli.convert([str(path), "--out", str(tmp_path / "bgr.safetensors")]) == 0
    assert "these colours are lpn-pytorch's; for weights that humanpose.pytorch trained" in capsys.readouterr().out
    assert cli.convert([str(path), "--out", str(tmp_path / "rgb.safetensors"), "--preprocess", "imagenet"]) == 0
    assert "lpn-pytorch" not in capsys.readouterr().out
    found = [weights.read(tmp_path / f"{name}.safetensors")[1].preprocess for name in ("bgr", "rgb")]
    assert found == [IMAGENET_BGR, IMAGENET]


def test_the_size_of_the_input_is_in_the_weight_file_that_is_written(tmp_path, network, capsys):
    path = save(network("pose_hrnet_w18_v1")[1], tmp_path / "pose_hrnet_w18_v1_384x288.pth")
    out = tmp_path / "w.safetensors"

    assert cli.convert([str(path), "--out", str(out), "--size", "384x288"]) == 0

    assert weights.read(out)[1].spec.size == (384, 288)
    assert "pose_hrnet_w18_v1 for coco17, input 384x288, colours imagenet" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["pose_hrnet_w32_256x192.pth", "8xb64-210e_coco.pth", "run_10x20.pth", "1256x1922.pth"]
)
def test_a_name_without_another_size_asks_nothing(tmp_path, network, name):
    _, tensors, spec = network("pose_hrnet_w18_v1")

    assert sources.read(save(tensors, tmp_path / name))[1].spec == spec


@pytest.mark.parametrize(
    ("model", "name"),
    [("pose_hrnet_w18_v1", "w.safetensors"), ("pose_resnet_50", "w.pth"), ("lpn_18h", "w.weights.h5")],
)
def test_weights_return_from_every_target_bit_for_bit(tmp_path, network, model, name):
    arrays, tensors, spec = network(model)

    assert cli.convert([str(save(tensors, tmp_path / "model_best.pth")), "--out", str(tmp_path / name)]) == 0

    found, info = sources.read(tmp_path / name)
    assert info.spec == spec
    assert {key: found[key].tobytes() for key in found} == {key: array.tobytes() for key, array in arrays.items()}


def manifest(name):
    """A state dict of zeros but for a mark in each tensor, with the names, shapes and order of a manifest."""
    lines = (MANIFESTS / f"{name}.tsv").read_text().splitlines()[1:]
    found = OrderedDict()
    for i, (key, shape) in enumerate(line.split("\t") for line in lines):
        scalar = shape == "scalar_int64"
        found[key] = torch.tensor(3) if scalar else torch.full(tuple(map(int, shape.split("x"))), i / 64)
    return found


FULL = [
    ("lpn_18", "lpn_18", "coco17"),
    ("pose_hrnet_w18_v1_coco", "pose_hrnet_w18_v1", "coco17"),
    pytest.param("pose_hrnet_w32_mpii", "pose_hrnet_w32", "mpii16", marks=pytest.mark.slow),
    pytest.param("pose_resnet_50_coco", "pose_resnet_50", "coco17", marks=pytest.mark.slow),
]


@needs_manifests
@pytest.mark.parametrize(("listed", "name", "skeleton"), FULL)
def test_the_published_list_of_tensors_is_the_network_at_its_full_size(tmp_path, listed, name, skeleton):
    tensors = manifest(listed)

    found, info = sources.read(save(checkpoint(tensors), tmp_path / "checkpoint.pth"))

    assert (info.spec.name, info.spec.width, info.spec.skeleton) == (name, 1, skeleton)
    assert_same(found, {key: t.numpy() for key, t in without_counters(tensors).items()})


@needs_manifests
def test_what_humanposes_last_code_makes_of_w18_v1_is_another_network(tmp_path):
    path = save(manifest("pose_hrnet_w18_v1_coco_headcode"), tmp_path / "model_best.pth")

    with pytest.raises(WeightError, match=r"of pose_hrnet_w18_v1 found; of another shape: layer1"):
        sources.read(path)


def test_a_state_dict_that_does_not_say_its_input_is_brought_in_first(tmp_path, network):
    import pytorch_impl

    with pytest.raises(WeightError, match=r"lpn_18h, and does not say the size and the colours .*/convert\.py"):
        pytorch_impl.load(save(network("lpn_18h")[1], tmp_path / "w.pth"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "framework"), [("w.pth", "torch"), ("w.weights.h5", "keras")])
def test_a_frameworks_own_file_keeps_size_and_colours(tmp_path, network, name, framework):
    arrays, tensors, spec = network("lpn_50")
    path = save(tensors, tmp_path / "model_best.pth")
    told = ("--size", "384x288", "--preprocess", "imagenet")

    assert cli.convert([str(path), "--out", str(tmp_path / name), *told]) == 0

    for net in (
        frameworks.load(framework, tmp_path / name),
        frameworks.load(framework, tmp_path / name, model="lpn_50"),
    ):
        assert (net.info.spec.size, net.info.preprocess) == ((384, 288), IMAGENET)
        found = frameworks.module(framework, "weights").get_arrays(net.network)
        assert found.keys() == arrays.keys()
        assert_same({key: found[key] for key in arrays}, arrays)
    assert sources.read(tmp_path / name)[1] == net.info
    assert spec.size != (384, 288)


def test_pytorch_loads_our_state_dict_as_any_other(tmp_path, network):
    from pytorch_impl import models, weights

    arrays, _, spec = network("lpn_18h")
    first, second = models.build(spec), models.build(spec)
    weights.set_arrays(first, arrays)
    weights.write_native(tmp_path / "w.pth", first, ModelInfo(spec))

    second.load_state_dict(torch.load(tmp_path / "w.pth", weights_only=True))

    assert_same(weights.get_arrays(second), arrays)


def test_every_model_of_one_person_has_colours():
    person = [spec for spec in catalogue.SPECS.values() if catalogue.top_down(spec)]

    assert {sources.published(spec) for spec in person} == {IMAGENET, IMAGENET_BGR}
    assert {spec.name for spec in person if sources.published(spec) == IMAGENET_BGR} == {
        "lpn_50", "lpn_101", "lpn_152", "pose_resnet_50", "pose_resnet_101", "pose_resnet_152",
    }  # fmt: skip
