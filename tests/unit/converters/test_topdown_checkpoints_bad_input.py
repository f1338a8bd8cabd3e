"""Files of networks of one person that are refused: damaged, of another network, or asked for what they are not."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from converters import cli, sources
from shared import weights
from shared.errors import WeightError


def save(content, path, legacy=True):
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


HEADS = {
    "hrnet_w32-36af842e.pth": {"head.0.0.0.conv1.weight": (8, 8, 1, 1), "head.0.0.0.bn1.running_mean": (8,)},
    "hrnet_w18_small_model_v1.pth": {
        "incre_modules.0.0.conv1.weight": (8, 8, 1, 1),
        "downsamp_modules.0.0.bias": (8,),
        "final_layer.0.weight": (17, 1, 1, 1),
        "final_layer.0.bias": (17,),
        "final_layer.1.running_mean": (17,),
        "classifier.weight": (10, 8),
    },
    "with names like a pose network's.pth": {
        "final_layer.weight": (17, 1, 1, 1),
        "final_layer.bias": (17,),
        "classifier.bias": (10,),
    },
    "without a head.pth": {},
}


def classifier(tensors, heads):
    trunk = OrderedDict((name, t) for name, t in tensors.items() if not name.startswith(("final_layer", "deconv")))
    return {**trunk, **{name: torch.ones(shape) for name, shape in heads.items()}}


@pytest.mark.parametrize("file", HEADS)
def test_an_imagenet_file_is_no_pose_network(tmp_path, network, capsys, file):
    path = save(classifier(network("pose_hrnet_w18_v1")[1], HEADS[file]), tmp_path / file)

    assert cli.convert([str(path), "--out", str(tmp_path / "w.safetensors")]) == 2

    error = capsys.readouterr().err
    assert f"{file}: holds an HRNet that classifies pictures" in error
    assert "give it to train.py with --init" in error
    assert [entry.name for entry in tmp_path.iterdir()] == [file]


def test_torchvisions_resnet_is_no_pose_network(tmp_path, network):
    tensors = classifier(network("pose_resnet_50")[1], {"fc.weight": (10, 8), "fc.bias": (10,)})

    with pytest.raises(
        WeightError, match=r"holds a ResNet that classifies pictures \(has fc\.weight and no final_layer"
    ):
        sources.read(save(tensors, tmp_path / "resnet50-19c8e357.pth"))


def truncated(tensors, path):
    save(tensors, path)
    path.write_bytes(path.read_bytes()[:-1000])


def truncated_zip(tensors, path):
    save(tensors, path, legacy=False)
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_the_names(tensors, path):
    save(tensors, path)
    path.write_bytes(path.read_bytes()[:2001])


def changed(change):
    """A file whose state dict went through `change`, which changes it in place."""

    def write(tensors, path):
        tensors = OrderedDict(tensors)
        change(tensors)
        save(tensors, path)

    return write


def tensor_under_two_names(tensors):
    tensors["module.conv1.weight"] = tensors["conv1.weight"]


def another_head(tensors):
    tensors |= {"final_layer.weight": torch.ones(5, 1, 1, 1), "final_layer.bias": torch.ones(5)}


class Code:
    def __reduce__(self):
        return print, ("run",)


LAST = "stage4.0.fuse_layers.0.3.1.running_var"


def last(tensor):
    return changed(lambda tensors: tensors.update({LAST: tensor}))


WHOLE = changed(dict)
FOUND = "of the 337 arrays of pose_hrnet_w18_v1 found"
# what is written, options, what the line says
FAULTS = {
    "truncated": (truncated, (), "not a whole PyTorch checkpoint"),
    "truncated zip": (truncated_zip, (), "not a whole PyTorch checkpoint"),
    "truncated in its names": (cut_in_the_names, (), "get the file again"),
    "one missing": (changed(lambda t: t.pop(LAST)), (), f"336 {FOUND}; missing {LAST}"),
    "head's bias missing": (changed(lambda t: t.pop("final_layer.bias")), (), "missing final_layer.bias"),
    "one extra": (changed(lambda t: t.update(extra=torch.ones(2))), (), f"337 {FOUND}; left over extra"),
    "another shape": (last(torch.ones(3)), (), f"of another shape: {LAST} (3,), expected (1,)"),
    "integers": (last(torch.ones(1).int()), (), f"{LAST} holds int32, expected an array of float32"),
    "a string": (last("best"), (), f"{LAST} holds str, expected an array of float32"),
    "NumPy's": (last(np.ones(1, np.float32)), (), f"{LAST} holds _NumpyArray, expected an array of float32"),
    "not finite": (last(torch.ones(1) / 0), (), f"{LAST} holds NaN or infinity"),
    "code": (changed(lambda t: t.update(run=Code())), (), "holds pickled code"),
    "two names": (changed(tensor_under_two_names), (), "two arrays are conv1.weight, expected one"),
    "5 keypoints": (changed(another_head), (), "of another shape: final_layer.weight (5, 1, 1, 1), expected (17,"),
    "another model": (WHOLE, ("--model", "pose_hrnet_w32"), "holds pose_hrnet_w18_v1, expected pose_hrnet_w32"),
    "another family": (WHOLE, ("--model", "coco18"), "holds pose_hrnet_w18_v1, expected coco18"),
    "other keypoints": (WHOLE, ("--skeleton", "mpii16"), "for coco17, expected mpii16; leave --skeleton out"),
    "no size": (WHOLE, ("--size", "256"), "--size 256: expected HEIGHTxWIDTH"),
    "impossible size": (WHOLE, ("--size", "200x100"), "size 200x100; expected height x width, multiples of 32"),
    "other colours": (WHOLE, ("--preprocess", "bgr"), "--preprocess bgr: unknown"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_one_line_and_leaves_nothing(tmp_path, network, capsys, fault):
    write, options, message = FAULTS[fault]
    write(network("pose_hrnet_w18_v1")[1], tmp_path / "a.pth")

    assert cli.convert([str(tmp_path / "a.pth"), "--out", str(tmp_path / "w.safetensors"), *options]) == 2

    out, error = capsys.readouterr()
    assert message in error
    assert (out, error.count("\n")) == ("", 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pth"]


def test_an_mpii_file_given_as_a_coco_one_is_refused_and_named(tmp_path, network, capsys):
    path = save(network("pose_hrnet_w18_v1", skeleton="mpii16", size=(256, 256))[1], tmp_path / "a.pth")
    command = [str(path), "--out", str(tmp_path / "w.safetensors"), "--model", "pose_hrnet_w18_v1"]

    assert cli.convert(command) == 2
    assert "holds pose_hrnet_w18_v1 for mpii16, expected coco17; add --skeleton mpii16" in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()
    assert cli.convert([*command, "--skeleton", "mpii16"]) == 0
    assert weights.read(tmp_path / "w.safetensors")[1].spec.size == (256, 256)


def test_a_file_named_after_another_size_is_not_guessed(tmp_path, network, capsys):
    path = save(network("pose_hrnet_w18_v1")[1], tmp_path / "pose_hrnet_w18_v1_384x288.pth")

    assert cli.convert([str(path), "--out", str(tmp_path / "w.safetensors")]) == 2

    assert "its name says an input of 384x288" in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "out", "message"),
    [
        (("--int8", "builtin"), "w.onnx", "--int8: its scales are from whole pictures, which lpn_18 does not see"),
        (("--stages", "1"), "w.caffemodel", "lpn_18 never was a Caffe network"),
        (("--stages", "2"), "w.pth", "--stages 2: lpn_18 has 1"),
    ],
)
def test_what_such_a_network_cannot_become_is_refused(tmp_path, network, capsys, options, out, message):
    path = save(network("lpn_18")[1], tmp_path / "a.pth")

    assert cli.convert([str(path), "--out", str(tmp_path / out), *options]) == 2

    assert message in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pth"]


def test_a_size_is_of_networks_of_one_person(tmp_path, small, capsys):
    arrays, info = small("coco18")
    weights.write(tmp_path / "a.safetensors", arrays, info)

    assert cli.convert([str(tmp_path / "a.safetensors"), "--out", str(tmp_path / "b.pth"), "--size", "256x192"]) == 2

    assert "--size: is of networks of one person, coco18 takes any" in capsys.readouterr().err
