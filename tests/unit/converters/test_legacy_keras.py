"""The published Keras 2 files: built here in their publishers' layouts, read back equal, refused when unfit."""

import h5py
import numpy as np
import pytest

from converters import sources
from shared.errors import WeightError
from shared.preprocess import CAFFE


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def _write_keras(path, arrays, nested, renamed, training=False, model=False):
    """A Keras 2 file: attributes on its groups, kernels as height, width, in, out."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if model else file
        layers = list(dict.fromkeys(name.rsplit(".", 1)[0] for name in arrays))
        extra = [f"weight_stage{t}_L{b}" for t in range(1, 7) for b in (1, 2)] if training else []
        for layer in layers:
            name = layer
            if renamed and layer.startswith("conv5_"):
                name = f"Mconv{layer[6]}_stage1_{layer[-2:]}"
            group = root.create_group(name)
            inner = group.create_group(name) if nested else group
            inner["kernel:0"] = arrays[f"{layer}.weight"].transpose(2, 3, 1, 0)
            inner["bias:0"] = arrays[f"{layer}.bias"]
        for name in extra:
            root.create_group(name).attrs["weight_names"] = []
        root.attrs["layer_names"] = [name.encode() for name in (*layers, *extra)]
        if model:
            file["optimizer_weights/Adam/conv1_1/kernel_m:0"] = np.zeros(3)
            file["optimizer_weights/iterations:0"] = 5
            file.attrs["model_config"] = b'{"class_name": "Lambda", "evil": "code"}'


KERAS = {
    "michalfaber, conv5": {"nested": True, "renamed": False},
    "anatolix, renamed": {"nested": True, "renamed": True},
    "flat groups": {"nested": False, "renamed": True},
    "kevinlin, training": {"nested": True, "renamed": True, "training": True},
    "whole model": {"nested": True, "renamed": True, "training": True, "model": True},
}


@pytest.mark.parametrize("layout", KERAS)
def test_a_published_keras_file_is_read_back_equal(tmp_path, small, layout):
    arrays, info = small("coco18")
    _write_keras(tmp_path / "weights.0100.h5", arrays, **KERAS[layout])

    found, found_info = sources.read(tmp_path / "weights.0100.h5")

    _assert_same(found, arrays)
    assert (found_info.spec, found_info.preprocess) == (info.spec, CAFFE)


def test_both_spellings_of_stage_1_in_one_keras_file_are_refused(tmp_path, small):
    path = tmp_path / "a.h5"
    _write_keras(path, small("coco18")[0], nested=True, renamed=False)
    with h5py.File(path, "r+") as file:
        file["Mconv4_stage1_L1/Mconv4_stage1_L1/bias:0"] = np.zeros(8, np.float32)

    with pytest.raises(WeightError, match="left over"):
        sources.read(path)


def test_a_keras_file_without_a_layer_is_refused_instead_of_filled(tmp_path, small):
    path = tmp_path / "a.h5"
    _write_keras(path, small("coco18")[0], nested=True, renamed=True)
    with h5py.File(path, "r+") as file:
        del file["Mconv5_stage1_L2"]

    with pytest.raises(
        WeightError, match=r"182 of the 184 .* missing Mconv5_stage1_L2/kernel:0, Mconv5_stage1_L2/bias:0"
    ):
        sources.read(path)


def test_a_keras_array_under_two_paths_is_refused(tmp_path, small):
    path = tmp_path / "a.h5"
    _write_keras(path, small("coco18")[0], nested=True, renamed=True)
    with h5py.File(path, "r+") as file:
        file["conv1_1/kernel:0"] = file["conv1_1/conv1_1/kernel:0"][...]

    with pytest.raises(WeightError, match="two arrays are conv1_1/kernel:0"):
        sources.read(path)


def test_a_keras_file_with_an_external_link_is_refused(tmp_path, small):
    path = tmp_path / "a.h5"
    _write_keras(path, small("coco18")[0], nested=True, renamed=True)
    with h5py.File(path, "r+") as file:
        file["conv9"] = h5py.ExternalLink("/etc/passwd", "/")

    with pytest.raises(WeightError, match="external link"):
        sources.read(path)
