"""What a prototxt computes as far as weights are concerned, and whether that is the network of a spec.

Every blob is written as an expression over convolutions, such as `[conv5_5_CPM_L1, conv5_5_CPM_L2,
relu(conv4_4_CPM)]`.  Two networks are the same if their convolutions have the same sizes and read the same
expressions; names of blobs, of layers without weights and the order of layers do not matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters import deploy, prototxt
from converters.deploy import Layer
from converters.prototxt import Message
from shared.arch import catalogue
from shared.errors import UserError, WeightError

# Types of the old format (V1LayerParameter) -> today's
_OLD_TYPES = {
    "CONVOLUTION": "Convolution", "POOLING": "Pooling", "CONCAT": "Concat", "RELU": "ReLU", "DROPOUT": "Dropout",
    "SPLIT": "Split",
}  # fmt: skip
_PASS = ("Dropout", "Split")
# Settings that change what a layer computes, with Caffe's defaults.
_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Convolution": (
        "convolution_param",
        {"num_output": 0, "pad": 0, "kernel_size": 0, "stride": 1, "dilation": 1, "group": 1, "bias_term": True,
         "pad_h": 0, "pad_w": 0, "kernel_h": 0, "kernel_w": 0, "stride_h": 0, "stride_w": 0},
    ),
    "Pooling": (
        "pooling_param",
        {"pool": "MAX", "kernel_size": 0, "stride": 1, "pad": 0, "global_pooling": False, "round_mode": "CEIL",
         "pad_h": 0, "pad_w": 0, "kernel_h": 0, "kernel_w": 0, "stride_h": 0, "stride_w": 0},
    ),
    "Concat": ("concat_param", {"axis": 1, "concat_dim": 1}),
    "ReLU": ("relu_param", {"negative_slope": 0}),
    "PReLU": ("prelu_param", {"channel_shared": False}),
}  # fmt: skip
_MANY = ("pad", "kernel_size", "stride", "dilation")  # repeated fields: one value, or one for each axis


@dataclass(frozen=True)
class _Value:
    """What a blob holds: the expression, its channels, and what it concatenates."""

    text: str
    channels: int
    parts: tuple[str, ...]


@dataclass
class Meaning:
    """Layers with weights -> what they compute and read, shapes of all weights, and the final maps."""

    weighted: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deploy:
    """A deploy prototxt that was understood: the network it holds, its name field and its input blob."""

    spec: Any
    title: str
    input: str


def read(path: Path, model: str | None = None) -> Deploy:
    """The network that a prototxt describes, after every convolution's size and inputs were found to be its own.

    `model` restricts the search to one.  Raises `UserError` or `WeightError` for any other prototxt.
    """
    message = prototxt.read(path)
    source, found = _input(message, path)
    layers += _layers(message, path) if (layers := list(found)) is not None else []
    return _understood(message, path, model, source, layers)
