"""Caffe's HDF5 weight files (.caffemodel.h5): groups `data/LAYER` with the layer's blobs named 0, 1, ..."""

from pathlib import Path

import h5py
import numpy as np

from converters.caffemodel import Blobs
from shared import hdf5
from shared.errors import WeightError

_WHAT = "a .caffemodel.h5"


def is_caffe(file: h5py.File) -> bool:
    """Whether an HDF5 file has Caffe's layout."""
    return isinstance(file.get("data"), h5py.Group) and "layer_names" not in file.attrs


def read(path: Path) -> Blobs:
    """Every layer that has blobs.  Raises `WeightError` for anything but a whole file with weights."""
    with hdf5.opened(path, _WHAT) as file:
        if not is_caffe(file):
            raise WeightError(f"{path}: an HDF5 file without Caffe's group `data`; expected {_WHAT}")
        arrays = {name: array for name, array in hdf5.arrays(file, path).items() if name.startswith("data/")}
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, index = name.removeprefix("data/").rpartition("/")
        layers.setdefault(layer, {})[index] = array
    if not layers:
        raise WeightError(f"{path}: no layer has weights; expected {_WHAT}")
    return Blobs({layer: _ordered(found, layer, path) for layer, found in layers.items()})


def _ordered(blobs: dict[str, np.ndarray], layer: str, path: Path) -> list[np.ndarray]:
    names = [str(i) for i in range(len(blobs))]
    if sorted(blobs) != sorted(names):
        raise WeightError(f"{path}: layer {layer} has blobs {sorted(blobs)}, expected {names}; is it a Caffe file?")
    with np.errstate(over="ignore", invalid="ignore"):
        return [blobs[name].astype(np.float32, copy=False) for name in names]
