"""Weights from any file that this project reads; what a file is follows from its content."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from converters import caffe_h5, caffe_net, frozen_graph, legacy, npy_dump
from shared import framework, hdf5, person_files
from shared.arch import catalogue
from shared.arch.residual import MULTIPLE
from shared.errors import UserError, WeightError, unknown
from shared.preprocess import CAFFE, PREPROCESS, Preprocess, published
from shared.weights import Arrays, ModelInfo, check, existing, sha256
from shared.weights import read as read_safetensors

READABLE = (
    ".caffemodel, .caffemodel.h5, a folder of W_LAYER.npy, Keras .h5, PyTorch checkpoints of tensorboy, H-Liu, HRNet, "
    "humanpose.pytorch, lpn-pytorch and mmpose (HRNet), the frozen graph of mobilenet_v2_small, and this project's "
    ".safetensors, .pth and .weights.h5"
)
CMU_LICENCE = "CMU OpenPose licence, non-commercial research use"
UNSTATED = "not stated by the publisher"
_TITLES = {
    "caffe": "a Caffe weight file",
    "npy": "a folder",
    "keras": "a Keras weight file",
    "keras_legacy": "a Keras .h5",
    "torch": "a PyTorch checkpoint",
    "safetensors": "a safetensors file",
    "graph": "a frozen graph",
}
_SIZE = re.compile(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)")
_VARINT, _BYTES = 0, 2  # wire types of protobuf
_FIXED = {1: 8, 5: 4}  # and those of a fixed number of bytes


def read(
    path: Path,
    model: str | None = None,
    prototxt: Path | None = None,
    preprocess: str | None = None,
    size: tuple[int, int] | None = None,
    skeleton: str | None = None,
) -> tuple[Arrays, ModelInfo]:
    """Checked weights under canonical names, and what they are.

    `model`, `skeleton` and `prototxt` (of Caffe files) say which network is expected; `preprocess` and `size` (height,
    width of the input, of a network of one person) override what the kind of file implies.  Raises `UserError` for a
    file that is none of `READABLE` or does not hold exactly one network's weights.
    """
    path = Path(path)
    if model is not None:
        catalogue.spec(model)
    if preprocess is not None and preprocess not in PREPROCESS:
        raise unknown("--preprocess", preprocess, PREPROCESS)
    found = kind(path)
    if prototxt is not None and found != "caffe":
        raise UserError(f"{path}: is {_TITLES[found]}, which has no prototxt; leave --prototxt out")
    if found == "caffe":
        net = caffe_net.read(path, model, prototxt)
        arrays, info = net.arrays, _info(path, net.spec, net.preprocess, CMU_LICENCE)
    else:
        arrays, info = _READERS[found](path, model)
    catalogue.expect(info.spec, None if found == "caffe" else model, str(path))
    _expect_skeleton(info.spec, model, skeleton, path)
    check(arrays, info.spec, str(path))
    if size is not None or found == "torch":
        info = replace(info, spec=_sized(info.spec, size, path))
    return arrays, replace(info, preprocess=PREPROCESS[preprocess]) if preprocess else info


def _expect_skeleton(spec: Any, model: str | None, skeleton: str | None, path: Path) -> None:
    """Insist on the keypoints that were named; the name of a model of one person stands for its first ones."""
    wanted = skeleton
    if wanted is None and model is not None and catalogue.top_down(spec):
        wanted = catalogue.spec(model).skeleton
    if wanted is not None and wanted != spec.skeleton:
        hint = "leave --skeleton out" if skeleton else f"add --skeleton {spec.skeleton}"
        raise WeightError(
            f"{path}: holds {spec.name} for {spec.skeleton}, expected {wanted}; {hint} or give another file"
        )


def _sized(spec: Any, size: tuple[int, int] | None, path: Path) -> Any:
    """`spec` for inputs of `size`.  Without one it stays as it is, unless the name of the file says another."""
    if not catalogue.top_down(spec):
        if size is not None:
            raise UserError(f"--size: is of networks of one person, {spec.name} takes any; leave it out")
        return spec
    if size is not None:
        return replace(spec, size=size)
    for height, width in ((int(match[1]), int(match[2])) for match in _SIZE.finditer(path.name)):
        if (height, width) != spec.size and not height % MULTIPLE and not width % MULTIPLE:
            usual = "x".join(map(str, spec.size))
            raise UserError(
                f"{path}: its name says an input of {height}x{width}, its weights do not say any, and {usual} is usual "
                f"for {spec.skeleton}; choose with --size"
            )
    return spec


def kind(path: Path) -> str:
    """What a file is by its content, a key of `_TITLES`.  Raises `WeightError` for what cannot be read here."""
    if path.is_dir():
        return "npy"
    existing(path, f"one of: {READABLE}")
    with path.open("rb") as file:
        head = file.read(16)
    if path.suffix == ".caffemodel":
        return "caffe"
    if head.startswith(hdf5.SIGNATURE):
        return _hdf5_kind(path)
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    return _protobuf_kind(path)


def _info(path: Path, spec: Any, preprocess: Preprocess, licence: str, digest: str = "") -> ModelInfo:
    return ModelInfo(spec, preprocess, path.name, digest or sha256(path), licence)


def _hdf5_kind(path: Path) -> str:
    with hdf5.opened(path, f"one of: {READABLE}") as file:
        if legacy.is_keras(file):
            return "keras_legacy"
        if caffe_h5.is_caffe(file):
            return "caffe"
        if isinstance(file.get("layers"), h5py.Group):
            return "keras"
        groups = ", ".join(list(file)[:3])
    raise WeightError(f"{path}: an HDF5 file of another kind (groups {groups}); readable are: {READABLE}")


def _protobuf_kind(path: Path) -> str:
    """Caffe, TensorFlow and ONNX all write protobuf; the numbers of their outermost fields differ."""
    fields = list(_fields(path.read_bytes()))
    numbers = set(fields)
    if (1, _VARINT) in numbers and (7, _BYTES) in numbers:
        raise WeightError(f"{path}: an ONNX file; ONNX is a target here, not a source; readable are: {READABLE}")
    if numbers & {(100, _BYTES), (2, _BYTES)} and fields.count((1, _BYTES)) <= 1:
        return "caffe"
    if fields.count((1, _BYTES)) > 1:
        return "graph"
    raise WeightError(f"{path}: not a weight file that is known here; readable are: {READABLE}")


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """(number, wire type) of the outermost fields of a protobuf file, up to the first thing that is none."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        value = 0
        if wire in (_VARINT, _BYTES):
            value, position = _varint(data, position)
        position += value if wire == _BYTES else _FIXED.get(wire, 0)
        if number == 0 or wire not in (_VARINT, _BYTES, *_FIXED):
            return
        yield number, wire


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and the position after it; 0 where the file ends within it."""
    value = 0
    for shift, byte in enumerate(data[position : position + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, position + shift + 1
    return 0, len(data)


def _npy(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    arrays = npy_dump.read(path)
    spec = _infer(arrays, path)
    return arrays, _info(path, spec, CAFFE, CMU_LICENCE, npy_dump.fingerprint(path))


def _keras_legacy(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    arrays = legacy.read_keras(path)
    return arrays, _info(path, _infer(arrays, path), CAFFE, UNSTATED)


def _keras(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    net: Any = framework.load("keras", path, model=model)
    return framework.module("keras", "weights").get_arrays(net.network), net.info


def _torch(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    torch: Any = framework.module("torch", "weights")
    checkpoint, info = torch.read_native(path), torch.read_info(path)
    if info is not None:
        return dict(checkpoint), info
    openpose = legacy.read_torch(checkpoint, str(path))
    if openpose:
        arrays, preprocess = openpose
        return arrays, _info(path, _infer(arrays, path), preprocess, UNSTATED)
    person = person_files.state_dict(checkpoint, str(path))
    if person is not None and not person.heatmaps:
        raise WeightError(
            f"{path}: holds {person_files.classifier(person.arrays)}; such a file is what a training starts from: "
            "give it to train.py with --init"
        )
    arrays = {name: array for name, array in checkpoint.items() if isinstance(array, np.ndarray)}
    if person is not None:
        arrays = person.arrays
    elif not arrays or len(arrays) < len(checkpoint):
        keys = ", ".join(list(map(str, checkpoint))[:3])
        raise WeightError(f"{path}: a checkpoint of another network (keys {keys}); readable are: {READABLE}")
    spec = _infer(arrays, path)
    return arrays, _info(path, spec, published(spec), "unknown")


def _infer(arrays: Arrays, path: Path) -> Any:
    return catalogue.infer({name: array.shape for name, array in arrays.items()}, str(path))


_READERS = {
    "npy": _npy,
    "keras": _keras,
    "keras_legacy": _keras_legacy,
    "torch": _torch,
    "safetensors": lambda path, model: read_safetensors(path),
    "graph": lambda path, model: frozen_graph.read(path),
}
