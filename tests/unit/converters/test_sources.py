"""What a file is follows from its content, and what is none of ours is told so."""

import numpy as np
import pytest
import torch

from converters import sources, to_caffe
from shared import weights
from shared.errors import UserError, WeightError


def test_our_own_file_returns_as_it_was(tmp_path, small):
    arrays, info = small("coco18", stages=2)
    weights.write(tmp_path / "a.bin", arrays, info)

    found, found_info = sources.read(tmp_path / "a.bin")

    assert found_info == info
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def test_a_plain_state_dict_of_ours_is_recognised(tmp_path, small):
    arrays, info = small("body25")
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / "a.pth")

    found, found_info = sources.read(tmp_path / "a.pth", model="body25")

    assert found_info.spec == info.spec
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def test_a_caffe_file_under_another_name_is_recognised_by_its_content(tmp_path, small):
    arrays, info = small("coco18")
    to_caffe.write(arrays, info, tmp_path / "a.prototxt", tmp_path / "a.dat")

    found, found_info = sources.read(tmp_path / "a.dat")

    assert found_info.spec == info.spec
    assert "CMU" in found_info.licence
    assert found.keys() == arrays.keys()


def test_caffes_hdf5_is_told_from_the_others(caffe_models):
    path = caffe_models / "tiny_coco.caffesave.caffemodel.h5"

    assert sources.kind(path) == "caffe"
    assert sources.read(path, prototxt=caffe_models / "tiny_coco.prototxt")[1].spec.name == "coco18"


def test_the_frozen_graph_is_recognised_and_onnx_is_refused(caffe_models):
    data = caffe_models.parent

    assert sources.kind(data / "mobilenet_v2_small_graph_opt.pb") == "graph"
    with pytest.raises(WeightError, match="ONNX is a target here, not a source"):
        sources.kind(data / "mobilenet_v2_small.nchw.onnx")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"hello, world", bytes(range(256)), b"\xff" * 40, b"\0"])
def test_anything_else_is_refused_with_what_is_readable(tmp_path, data):
    path = tmp_path / "a.weights"
    path.write_bytes(data)

    with pytest.raises(WeightError, match=r"readable are: .caffemodel"):
        sources.read(path)


def test_the_model_that_was_named_must_be_in_the_file(tmp_path, small):
    arrays, info = small("coco18")
    weights.write(tmp_path / "a.safetensors", arrays, info)

    with pytest.raises(WeightError, match="holds coco18, expected body25"):
        sources.read(tmp_path / "a.safetensors", model="body25")
    with pytest.raises(UserError, match=r"model body_25: unknown .did you mean body25"):
        sources.read(tmp_path / "a.safetensors", model="body_25")


def test_a_prototxt_belongs_to_caffe_files_only(tmp_path, small):
    arrays, info = small("coco18")
    weights.write(tmp_path / "a.safetensors", arrays, info)

    with pytest.raises(UserError, match="is a safetensors file, which has no prototxt"):
        sources.read(tmp_path / "a.safetensors", prototxt=tmp_path / "a.prototxt")


def test_weights_that_are_not_finite_are_refused(tmp_path, small):
    arrays, _ = small("coco18")
    arrays["conv1_1.bias"] = np.array([np.inf], np.float32)
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / "a.pth")

    with pytest.raises(WeightError, match=r"conv1_1.bias holds NaN or infinity"):
        sources.read(tmp_path / "a.pth")
