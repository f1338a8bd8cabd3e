"""Published ImageNet files at their full size: as much is taken as the originals take, another network's is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared import imagenet
from shared.arch import catalogue, hrnet
from shared.errors import WeightError

MANIFESTS = Path(__file__).parents[3] / "shared" / "manifests"
needs_manifests = pytest.mark.skipif(not MANIFESTS.is_dir(), reason="no ../shared/manifests here")
LISTED = {
    "conv1",
    "bn1",
    "conv2",
    "bn2",
    "layer1",
    "transition1",
    "stage2",
    "transition2",
    "stage3",
    "transition3",
    "stage4",
}


def manifest(name):
    """Name -> an array of the shape in a manifest, without memory of its own."""
    lines = (MANIFESTS / f"{name}.tsv").read_text().splitlines()[1:]
    pairs = (line.split("\t") for line in lines)
    return {
        key: np.broadcast_to(np.float32(3), tuple(map(int, shape.split("x"))))
        for key, shape in pairs
        if shape != "scalar_int64"
    }


def empty(spec):
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in spec.tensors().items()}


def with_counters(names):
    """How many tensors these are in a state dict: a batch norm has a counter beside its four arrays."""
    return len(names) + sum(name.endswith("running_var") for name in names)


# model, manifest of the ImageNet file: tensors taken and all of the model, with counters; layers left as they are
PUBLISHED = {
    ("pose_hrnet_w18_v1", "imagenet_hrnet_w18_small_model_v1"): (
        348, 404, {"layer1.1", "layer1.2", "layer1.3", "final_layer"},
    ),
    ("pose_hrnet_w18_v2", "imagenet_hrnet_w18_small_model_v2"): (786, 824, {"layer1.2", "layer1.3", "final_layer"}),
    ("pose_hrnet_w32", "imagenet_hrnet_w32_backbone_part"): (1752, 1754, {"final_layer"}),
    ("pose_hrnet_w48", "imagenet_hrnet_w48_backbone_part"): (1752, 1754, {"final_layer"}),
}  # fmt: skip


@needs_manifests
@pytest.mark.parametrize(("model", "file"), PUBLISHED)
def test_as_much_of_a_published_imagenet_file_is_taken_as_the_originals_take(model, file):
    n_taken, n_tensors, kept = PUBLISHED[model, file]
    spec, found = catalogue.spec(model), manifest(file)
    before = empty(spec)

    arrays, told = imagenet.apply(before, found, spec, "w.pth")

    taken = [name for name in arrays if arrays[name] is not before[name]]
    left = [name for name in arrays if arrays[name] is before[name]]
    assert list(arrays) == list(before)
    assert (with_counters(taken), with_counters(arrays)) == (n_taken, n_tensors)
    assert all((arrays[name] == 3).all() for name in taken)
    assert {".".join(name.split(".")[:2]) if name.startswith("layer1") else "final_layer" for name in left} == kept
    assert {name.split(".")[0] for name in taken} == LISTED
    assert f"{len(taken)} of the {len(arrays)} tensors of {model} taken; {len(left)} keep" in told
    assert f"{len(found) - len(taken)} more of the file are not the network's" in told


@needs_manifests
@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("pose_hrnet_w18_v1", "imagenet_hrnet_w18_small_model_v2"),
        ("pose_hrnet_w18_v2", "imagenet_hrnet_w18_small_model_v1"),
        ("pose_hrnet_w32", "imagenet_hrnet_w48_backbone_part"),
        ("pose_hrnet_w32", "pose_resnet_50_coco"),
        ("pose_resnet_50", "imagenet_hrnet_w32_backbone_part"),
    ],
)
def test_the_file_of_another_network_is_refused(model, file):
    spec = catalogue.spec(model)

    with pytest.raises(WeightError, match=rf"w\.pth: is of another network than {model}: \S+ \(.*\), expected \("):
        imagenet.apply(empty(spec), manifest(file), spec, "w.pth")


@needs_manifests
def test_w18_v1_as_humanposes_last_code_builds_it_cannot_start_from_its_file(monkeypatch):
    layout = replace(hrnet.LAYOUTS["pose_hrnet_w18_v1"], hidden=64)
    monkeypatch.setitem(hrnet.LAYOUTS, "pose_hrnet_w18_v1", layout)
    spec = catalogue.spec("pose_hrnet_w18_v1")

    with pytest.raises(WeightError, match=r"layer1\.0\.conv1\.weight \(32, 64, 1, 1\), expected \(64, 64, 1, 1\)"):
        imagenet.apply(empty(spec), manifest("imagenet_hrnet_w18_small_model_v1"), spec, "w.pth")
