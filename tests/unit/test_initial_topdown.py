"""A network of one person starts from ImageNet or from a published pose network, by name; what does not, is told."""

import logging
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch

from shared import person_files, weights
from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.initial import from_file, initial
from shared.preprocess import IMAGENET, IMAGENET_BGR
from shared.recipe import Recipe

WIDTH = 1 / 16


def start(model, **changes):
    """What a training of that model starts from: info and arrays."""
    return initial(Recipe(model=model, init="hrnet", preprocess=IMAGENET, **{"width": WIDTH, **changes}))


def random(shapes, seed=5):
    """A state dict of random tensors, positive, with the counters of its batch norms."""
    rng = np.random.default_rng(seed)
    found = OrderedDict()
    for name, shape in shapes.items():
        found[name] = torch.from_numpy(rng.uniform(0.5, 1.5, shape).astype(np.float32))
        if name.endswith("running_var"):
            found[name.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    return found


def classifier(spec, heads, without=()):
    """The trunk of a network as one that classifies has it, with the layers `heads` of its own."""
    shapes = {
        name: shape
        for name, shape in spec.tensors().items()
        if not name.startswith(("final_layer", "deconv_layers", *without))
    }
    return random({**shapes, **heads})


SMALL = {  # the head of HRNet's small classifiers: a `final_layer` among it
    "incre_modules.0.0.conv1.weight": (8, 4, 1, 1),
    "downsamp_modules.0.0.bias": (8,),
    "final_layer.0.weight": (8, 4, 1, 1),
    "final_layer.1.running_var": (8,),
    "classifier.weight": (10, 8),
}


@pytest.mark.parametrize("legacy", [True, False], ids=["before PyTorch 1.6", "zip"])
def test_an_hrnet_starts_from_its_classifier(tmp_path, caplog, legacy):
    info, arrays = start("pose_hrnet_w18_v1")
    tensors = classifier(info.spec, SMALL, without=("layer1.1", "layer1.2", "layer1.3"))
    path = tmp_path / "hrnet_w18_small_model_v1.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)

    with caplog.at_level(logging.INFO):
        found = from_file(path, arrays, info)

    kept = [name for name in arrays if name.startswith(("layer1.1", "layer1.2", "layer1.3", "final_layer"))]
    assert list(found) == list(arrays)
    assert all(found[name] is arrays[name] for name in kept)
    assert all(np.array_equal(found[name], tensors[name]) for name in arrays if name not in kept)
    (line,) = caplog.messages
    assert f"--init {path}: 290 of the 337 tensors of pose_hrnet_w18_v1 taken; 47 keep their first values" in line
    assert "layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias, … and 44 more; 5 more of the file" in line


def test_a_head_of_the_same_name_and_shape_is_not_taken(tmp_path):
    info, arrays = start("pose_hrnet_w18_v1")
    same = {name: arrays[name].shape for name in ("final_layer.weight", "final_layer.bias")}
    tensors = classifier(info.spec, {**same, "classifier.weight": (10, 8)})
    torch.save(tensors, tmp_path / "w.pth")

    found = from_file(tmp_path / "w.pth", arrays, info)

    assert all(found[name] is arrays[name] for name in same)
    assert np.array_equal(found["conv1.weight"], tensors["conv1.weight"])
    everything = {name: tensors[name].numpy() for name in arrays}  # by name and shape alone, the head would have come
    assert not np.array_equal(everything["final_layer.weight"], found["final_layer.weight"])


@pytest.mark.parametrize("order", [IMAGENET, IMAGENET_BGR])
def test_a_pose_resnet_starts_from_torchvisions_with_colours_as_they_are(tmp_path, caplog, order):
    info, arrays = start("pose_resnet_50")
    tensors = classifier(info.spec, {"fc.weight": (10, 8), "fc.bias": (10,)})
    torch.save(tensors, tmp_path / "resnet50-19c8e357.pth")

    found = from_file(tmp_path / "resnet50-19c8e357.pth", arrays, replace(info, preprocess=order))

    head = [name for name in arrays if name.startswith(("deconv_layers", "final_layer"))]
    assert all(found[name] is arrays[name] for name in head)
    assert all(np.array_equal(found[name], tensors[name]) for name in arrays if name not in head)
    assert f"{len(head)} keep their first values: deconv_layers.0.weight" in caplog.text
    assert "2 more of the file" in caplog.text


@pytest.mark.parametrize(
    ("model", "file", "message"),
    [
        ("pose_resnet_101", "pose_resnet_50", r"layer3\.6\.conv1\.weight missing, .* and .* more"),
        ("pose_resnet_50", "pose_resnet_101", r"layer3\.6\.conv1\.weight left over"),
    ],
)
def test_a_resnet_of_another_depth_is_refused(tmp_path, model, file, message):
    info, arrays = start(model)
    spec = catalogue.spec(file, width=WIDTH)
    torch.save(classifier(spec, {"fc.weight": (10, 8)}), tmp_path / "resnet.pth")

    with pytest.raises(WeightError, match=f"is of another network than {model}: {message}"):
        from_file(tmp_path / "resnet.pth", arrays, info)


def training(tensors):
    prefixed = OrderedDict((f"module.{name}", tensor) for name, tensor in tensors.items())
    return {"epoch": 150, "model": "lpn", "state_dict": prefixed, "best_state_dict": tensors, "perf": np.float64(0.48)}


@pytest.mark.parametrize("wrap", [dict, training])
@pytest.mark.parametrize("model", ["lpn_18h", "pose_hrnet_w18_v1"])
def test_a_pose_network_starts_where_another_training_ended(tmp_path, caplog, model, wrap):
    info, arrays = start(model)
    tensors = random(info.spec.tensors())
    torch.save(wrap(tensors), tmp_path / "checkpoint.pth")

    found = from_file(tmp_path / "checkpoint.pth", arrays, info)

    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], tensors[name]) for name in arrays)
    assert caplog.text == ""


def test_our_own_weights_of_the_same_network_are_taken_whatever_their_size(tmp_path):
    info, arrays = start("lpn_18h")
    trained = {name: tensor.numpy() for name, tensor in random(info.spec.tensors()).items() if name in arrays}
    large = replace(info, spec=replace(info.spec, size=(384, 288)))
    weights.write(tmp_path / "w.safetensors", trained, large)

    found = from_file(tmp_path / "w.safetensors", arrays, info)

    assert all(np.array_equal(found[name], trained[name]) for name in arrays)


OTHERS = {
    "another width": ({"width": 1 / 8}, IMAGENET, "choose --recipe and --set to match"),
    "other keypoints": ({"skeleton": "mpii16"}, IMAGENET, "choose --recipe and --set to match"),
    "another network": ({"model": "lpn_18"}, IMAGENET, "choose --recipe and --set to match"),
    "other colours": ({}, IMAGENET_BGR, "choose --set preprocess to match"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_our_own_weights_of_another_network_are_refused(tmp_path, other):
    changes, preprocess, message = OTHERS[other]
    given, arrays = start(**{"model": "lpn_18h", **changes})
    weights.write(tmp_path / "w.safetensors", arrays, replace(given, preprocess=preprocess))
    info, arrays = start("lpn_18h")

    with pytest.raises(UserError, match=message):
        from_file(tmp_path / "w.safetensors", arrays, info)


def whole(tensors, path):
    torch.save(tensors, path)


def truncated(tensors, path):
    torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:-500])


def changed(name, tensor):
    def write(tensors, path):
        torch.save({**tensors, name: tensor}, path)

    return write


def of(model, heads=None, **changes):
    """A whole file of another network: a classifier if it has `heads`, else a pose network."""
    spec = catalogue.spec(model, **{"width": WIDTH, **changes})

    def write(_, path):
        torch.save(random(spec.tensors()) if heads is None else classifier(spec, heads), path)

    return write


HEAD = {"classifier.weight": (10, 8)}
# model that is trained, what is written (given the tensors of a pose network of it), what the line says
FAULTS = {
    "truncated": ("lpn_18", truncated, "not a whole PyTorch checkpoint"),
    "another pose network": ("lpn_18", of("lpn_34"), r"--init .*: 186 of the 186 arrays of lpn_18 found; left over"),
    "other keypoints": ("lpn_18", of("lpn_18", skeleton="mpii16"), r"final_layer.weight \(16, 16, 1, 1\), expected"),
    "one left over": ("lpn_18", changed("extra.weight", torch.ones(1)), "186 of the 186 .*; left over extra.weight"),
    "another shape": ("lpn_18", changed("bn1.bias", torch.ones(3)), r"of another shape: bn1.bias \(3,\)"),
    "not finite": ("lpn_18", changed("bn1.bias", torch.ones(4) / 0), "bn1.bias holds NaN"),
    "integers": ("lpn_18", changed("bn1.bias", torch.ones(4).int()), "bn1.bias holds int32"),
    "a classifier for LPN": ("lpn_50", of("pose_resnet_50", HEAD), "nothing of it fits lpn_50; expected a pose"),
    "a classifier that is wider": (
        "pose_hrnet_w18_v1", of("pose_hrnet_w18_v1", HEAD, width=1 / 8), r"than pose_hrnet_w18_v1: conv1.weight \(8, 3",
    ),
    "VGG-19": ("lpn_18", lambda _, path: torch.save({"features.0.weight": torch.ones(1)}, path), "no network of one"),
    "HDF5": ("lpn_18", lambda _, path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "no PyTorch file; expected"),
    "empty": ("lpn_18", lambda _, path: path.write_bytes(b""), "the file is empty; expected a weight file of this"),
    "absent": ("lpn_18", lambda _, path: None, "no such file; expected a weight file of this project, or a published"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path, fault):
    model, write, message = FAULTS[fault]
    info, arrays = start(model)
    write(random(info.spec.tensors()), tmp_path / "w.pth")

    with pytest.raises(UserError, match=message) as caught:
        from_file(tmp_path / "w.pth", arrays, info)
    assert "\n" not in str(caught.value)


def test_what_is_no_network_of_one_person_is_told_apart():
    assert person_files.state_dict({"model0.0.weight": np.ones(2)}, "here") is None
    assert person_files.state_dict({"state_dict": {}, "epoch": 1}, "here") is None
