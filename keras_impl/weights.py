"""Canonical weights in and out of a Keras network, and HDF5 weight files read without running their code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from shared import hdf5
from shared.errors import WeightError
from shared.weights import Arrays, ModelInfo, parsed, replacing

OIHW_TO_HWIO = (2, 3, 1, 0)  # and, of a transposed convolution, (in, out, h, w) to (h, w, out, in)
HWIO_TO_OIHW = (3, 2, 0, 1)
_EXPECTED = "a Keras weight file (.weights.h5)"
_INFO = "pose_info"  # attribute of the root group of the .weights.h5 that we write
# Keras's name of a variable -> torch's
_KINDS = {
    "kernel": "weight", "alpha": "weight", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def canonical(layer: str, variable: str) -> str:
    """The canonical name of a Keras variable.  Layer names must not have dots, so `__` stands for a dot."""
    return f"{layer.replace('__', '.')}.{_KINDS.get(variable, variable)}"


def variables(network: keras.Model) -> dict[str, tuple[keras.Layer, Any]]:
    """Canonical name -> the layer and its variable, in the order of the layers."""
    return {
        canonical(layer.name, variable.name): (layer, variable)
        for layer in network.layers
        for variable in layer.weights
    }


def get_arrays(network: keras.Model) -> Arrays:
    """The network's weights under their canonical names, in torch's axis order."""
    return {name: to_torch(layer, variable.value) for name, (layer, variable) in variables(network).items()}


def to_torch(layer: keras.Layer, value: Any) -> np.ndarray:
    """A tensor shaped like a variable of `layer`, in torch's axis order."""
    array = np.asarray(keras.ops.convert_to_numpy(value))
    if isinstance(layer, keras.layers.DepthwiseConv2D) and array.ndim == 4:  # (h, w, in, out / in)
        array = array.transpose(2, 3, 0, 1)
        array = array.reshape(-1, 1, *array.shape[2:])
    elif isinstance(layer, keras.layers.LayerNormalization):  # over channels, which PyTorch has first
        array = array.reshape(-1, 1, 1)
    elif array.ndim == 4:
        array = array.transpose(HWIO_TO_OIHW)
    elif array.ndim == 3:  # the slopes of a PReLU, shared over the axes of the image
        array = array.reshape(-1)
    return np.ascontiguousarray(array)


def _from_torch(layer: keras.Layer, variable: Any, array: np.ndarray) -> np.ndarray:
    """The inverse of `to_torch`, for one variable of `layer`."""
    if array.ndim == 4 and isinstance(layer, keras.layers.DepthwiseConv2D):
        height, width, cin, multiplier = variable.shape
        return array.reshape(cin, multiplier, height, width).transpose(2, 3, 0, 1)
    if array.ndim == 4:
        return array.transpose(OIHW_TO_HWIO)
    return array.reshape(variable.shape)  # a PReLU's slopes and a layer norm's arrays have other axes of length 1


def set_arrays(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Fill the network, strictly: every array by name and shape."""
    known = variables(network)
    if known.keys() != arrays.keys():
        raise KeyError(f"weights of another network: {sorted(known.keys() ^ arrays.keys())[:4]}")
    for name, (layer, variable) in known.items():
        variable.assign(_from_torch(layer, variable, arrays[name]))


def read_native(path: Path) -> Mapping[str, Any]:
    """A `.weights.h5` as {layer name: its arrays in Keras's axes}."""
    with hdf5.opened(path, _EXPECTED) as file:
        arrays = hdf5.arrays(file, path)
        layers = {}
        for group in file.get("layers", {}).values():
            variables = group.get("vars", {})
            inside = [arrays[f"{variables.name[1:]}/{i}"] for i in range(len(variables))]
            if inside:
                layers[str(variables.attrs["name"])] = inside
    return layers


def read_info(path: Path) -> ModelInfo | None:
    """What `write_native` said of the network in the file; None for a file of anybody else's."""
    with hdf5.opened(path, _EXPECTED) as file:
        return parsed(str(file.attrs[_INFO]), path) if _INFO in file.attrs else None


def set_native(network: keras.Model, layers: Mapping[str, list[np.ndarray]], where: str) -> None:
    """Fill the network from `read_native`, strictly, by layer name and shape."""
    wanted = {layer.name: layer.weights for layer in network.layers if layer.weights}
    if wanted.keys() != layers.keys():
        missing, extra = sorted(wanted.keys() - layers.keys()), sorted(layers.keys() - wanted.keys())
        raise WeightError(
            f"{where}: {len(wanted.keys() & layers.keys())} of the {len(wanted)} layers of {network.name} found; "
            f"missing {missing[:3]}, left over {extra[:3]}. Is it the right file, and the right --model?"
        )
    for name, variables in wanted.items():
        shapes, given = [tuple(v.shape) for v in variables], [a.shape for a in layers[name]]
        if shapes != given:
            raise WeightError(f"{where}: layer {name} has shapes {given}, expected {shapes}; is it the right file?")
        for variable, array in zip(variables, layers[name], strict=True):
            variable.assign(array)


def write_native(path: Path, network: keras.Model, info: ModelInfo) -> None:
    """Write a `.weights.h5` that `model.load_weights` reads, with the model's description as an attribute."""
    if not path.name.endswith(".weights.h5"):
        raise WeightError(f"{path}: Keras names its weight files *.weights.h5; give the file such a name")
    with replacing(path) as temporary:
        network.save_weights(temporary)
        with h5py.File(temporary, "r+") as file:
            file.attrs[_INFO] = json.dumps(info.to_dict(), sort_keys=True)
