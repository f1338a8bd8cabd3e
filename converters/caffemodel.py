"""Caffe's binary weight files: every layer's blobs, by layer name, read strictly.

Reads LayerParameter and V1LayerParameter, BlobShape and the four old dimensions, packed and unpacked numbers, float and
double, with or without diffs, in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from converters.caffe_schema import messages
from shared import hdf5
from shared.errors import WeightError
from shared.weights import Arrays, existing

_WHAT = "a .caffemodel"


@dataclass(frozen=True)
class Blobs:
    """The weights of a Caffe file: layer name -> its blobs in Caffe's order, float32.

    `double` tells that the file stored doubles, which OpenCV does not read.
    """

    layers: Mapping[str, list[np.ndarray]]
    double: bool = False


def read(path: Path) -> Blobs:
    """Every layer that has blobs.  Raises `WeightError` for anything but a whole file with weights."""
    data = read_bytes(path, _WHAT)
    if data.startswith(hdf5.SIGNATURE):
        raise WeightError(f"{path}: is HDF5, expected {_WHAT}; name a Caffe HDF5 file *.caffemodel.h5")
    try:
        net = messages()["NetParameter"].FromString(data)
    except DecodeError:
        raise WeightError(f"{path}: not a whole caffemodel ({_guess(data)}); get the file again") from None
    old, new = len(net.layers), len(net.layer)
    if old and new:
        raise WeightError(f"{path}: mixes {new} layers of Caffe's format with {old} of its old one; save it with Caffe")
    double = False
    layers: dict[str, list[np.ndarray]] = {}
    for layer in net.layer or net.layers:
        if not layer.blobs:
            continue
        name = _text(layer.name, path)
        if name in layers:
            raise WeightError(f"{path}: two layers named {name} have weights, expected one; which is meant is unknown")
        layers[name] = [_array(blob, f"{path}: blob {i} of layer {name}") for i, blob in enumerate(layer.blobs)]
        double = double or any(blob.double_data for blob in layer.blobs)
    if not layers:
        raise WeightError(f"{path}: no layer has weights ({_guess(data)}), expected {_WHAT}; get the file again")
    return Blobs(layers, double)


def canonical(blobs: Blobs, where: str) -> Arrays:
    """Caffe's blobs under canonical names: `weight` and `bias` of a convolution, `weight` of a PReLU.

    Old files hold vectors as (1, 1, 1, C); they become (C,).
    """
    arrays: Arrays = {}
    for name, (first, *others) in blobs.layers.items():
        if len(others) > 1:
            raise WeightError(f"{where}: layer {name} has {1 + len(others)} blobs, expected a weight and a bias")
        arrays[f"{name}.weight"] = first if others else _vector(first)
        if others:
            arrays[f"{name}.bias"] = _vector(others[0])
    return arrays


def from_canonical(arrays: Mapping[str, np.ndarray]) -> Blobs:
    """The inverse of `canonical`."""
    layers: dict[str, list[np.ndarray]] = {}
    for name, array in arrays.items():
        layer, kind = name.rsplit(".", 1)
        if kind not in ("weight", "bias"):
            raise WeightError(f"{name}: Caffe has no such blob; only convolutions and PReLUs can be written")
        layers.setdefault(layer, []).insert(0 if kind == "weight" else 1, array)
    return Blobs(layers)


def read_bytes(path: Path, what: str) -> bytes:
    """The whole file, or a `WeightError`."""
    if path.is_dir():
        raise WeightError(f"{path}: is a folder, expected {what}")
    try:
        return existing(path, what).read_bytes()
    except OSError as error:
        raise WeightError(f"{path}: cannot be read ({error.strerror}); expected {what}") from None


def _vector(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1) if array.ndim == 4 and array.shape[:3] == (1, 1, 1) else array


def _array(blob: Any, where: str) -> np.ndarray:
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    numbers = _numbers(blob, prod(shape))
    if min(shape, default=0) < 1 or len(numbers) != prod(shape):
        raise WeightError(f"{where} has {len(numbers)} numbers for a shape of {shape}; is the file damaged?")
    return numbers.reshape(shape)


def _numbers(blob: Any, expected: int) -> np.ndarray:
    """The blob's numbers as float32, doubles before floats as in Caffe."""
    for parts, kind in ((blob.double_data, "<f8"), (blob.data, "<f4")):
        raw = parts[0] if len(parts) == 1 else b"".join(parts)
        if raw and len(raw) == expected * np.dtype(kind).itemsize:
            return _single(np.frombuffer(raw, kind))
    try:
        loose = messages()["Numbers"].FromString(blob.SerializeToString())
    except DecodeError:
        return np.empty(0, np.float32)
    return _single(np.array(loose.double_data or loose.data, np.float64))


def _single(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # an infinity is found and named when the weights are checked
        return numbers.astype(np.float32, copy=False)


def _text(name: bytes, path: Path) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise WeightError(f"{path}: a layer with weights is named {name!r}, expected a readable name; is it damaged?")
    return text


def _guess(data: bytes) -> str:
    """What a file that is no caffemodel looks like."""
    if data.startswith(b"\x89PNG"):
        return "it is a PNG image"
    if data.startswith(b"PK\x03\x04"):
        return "it is a zip archive, as PyTorch writes"
    if all(byte in b"\t\n\r" or byte >= 0x20 for byte in data[:512]):
        return "it looks like text"
    return "truncated, or another kind of file"
