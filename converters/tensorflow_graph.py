"""A frozen TensorFlow graph as nodes, read without TensorFlow and without running it."""

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from converters.schema import classes
from shared.errors import WeightError
from shared.weights import existing

# Field numbers are those of TensorFlow's graph.proto, node_def.proto, attr_value.proto and tensor.proto.
_MESSAGES = {
    "Dim": ("one int64 size = 1",),
    "Shape": ("many Dim dim = 2",),
    "Tensor": (
        "one int32 dtype = 1", "one Shape tensor_shape = 2", "one bytes tensor_content = 4",
        "packed float float_val = 5", "packed int32 int_val = 7",
    ),
    "List": ("packed int64 i = 3",),
    "Value": (
        "one List list = 1", "one bytes s = 2", "one int64 i = 3", "one float f = 4", "one bool b = 5",
        "one int32 type = 6", "one Tensor tensor = 8",
    ),
    "Attribute": ("one bytes key = 1", "one Value value = 2"),
    "Node": ("one bytes name = 1", "one bytes op = 2", "many bytes input = 3", "many Attribute attr = 5"),
    "Graph": ("many Node node = 1",),
}  # fmt: skip
_DTYPES = {1: (np.dtype("<f4"), "float_val"), 3: (np.dtype("<i4"), "int_val")}  # DT_FLOAT, DT_INT32
_FOLDED = re.compile(r"/read/_\d+__cf__\d+$")  # what TensorFlow's optimiser adds to the name of a constant


@dataclass(frozen=True)
class Constant:
    """A tensor of the graph, still packed: reading its shape costs nothing."""

    name: str
    shape: tuple[int, ...]
    packed: Any

    def array(self, path: Path) -> np.ndarray:
        """The numbers: raw bytes, or a list whose last number stands for all that follow."""
        if self.packed.dtype not in _DTYPES:
            raise WeightError(f"{path}: {self.name} has dtype number {self.packed.dtype}, expected float32 or int32")
        dtype, listed = _DTYPES[self.packed.dtype]
        count, raw = math.prod(self.shape), self.packed.tensor_content
        numbers = list(getattr(self.packed, listed))
        if raw and len(raw) == count * dtype.itemsize:
            values = np.frombuffer(raw, dtype)
        elif not raw and (0 < len(numbers) <= count or count == 0):
            values = np.array(numbers + numbers[-1:] * (count - len(numbers)), dtype)[:count]
        else:
            raise WeightError(
                f"{path}: {self.name} holds {len(raw)} bytes and {len(numbers)} numbers, expected {count} of "
                f"{dtype.name}; get the file again"
            )
        return values.reshape(self.shape)


@dataclass(frozen=True)
class Node:
    """What a node does (TensorFlow's name of it), the nodes that it reads, its attributes, and a Const's value."""

    op: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constant: Constant | None = None


def read(path: Path) -> dict[str, Node]:
    """The graph's nodes by name, the constants' names without what TensorFlow's optimiser added to them.

    Raises `WeightError` for a file that is missing, empty, cut off or no graph, and for a name that occurs twice.
    """
    existing(path, "a frozen TensorFlow graph (.pb)")
    try:
        graph = graph_class().FromString(path.read_bytes())
    except DecodeError:
        raise WeightError(
            f"{path}: not a whole TensorFlow graph; expected a frozen graph (.pb); get the file again"
        ) from None
    if not graph.node or not all(node.name and node.op for node in graph.node):
        raise WeightError(f"{path}: holds no TensorFlow graph; expected a frozen graph (.pb); is it the right file?")
    found: dict[str, Node] = {}
    for packed in graph.node:
        name = _plain(packed.name)
        if name in found:
            raise WeightError(f"{path}: two nodes are named {name}, expected every name once; get the file again")
        found[name] = _node(name, packed)
    return found


@functools.cache
def graph_class() -> Any:
    """The protobuf class of a whole graph (TensorFlow's GraphDef)."""
    return classes("pose_tensorflow", _MESSAGES)["Graph"]


def _node(name: str, packed: Any) -> Node:
    attributes = {_text(entry.key): _value(entry.value) for entry in packed.attr}
    tensor = next((entry.value.tensor for entry in packed.attr if entry.key == b"value"), None)
    constant = None
    if packed.op == b"Const" and tensor is not None:
        constant = Constant(name, tuple(dim.size for dim in tensor.tensor_shape.dim), tensor)
    return Node(_text(packed.op), tuple(_plain(source) for source in packed.input), attributes, constant)


def _value(packed: Any) -> Any:
    """An attribute's value if it is a number, a boolean, a string (as bytes) or a list of integers, else None."""
    if packed.HasField("list"):
        return list(packed.list.i)
    return next((getattr(packed, kind) for kind in ("s", "i", "f", "b") if packed.HasField(kind)), None)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _plain(name: bytes) -> str:
    return _FOLDED.sub("", _text(name).removesuffix(":0"))
