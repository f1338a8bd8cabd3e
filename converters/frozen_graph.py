"""The weights of mobilenet_v2_small from its frozen TensorFlow graph.

A graph carries its network along.  Every node of it must be the one that `MobilenetV2SmallSpec` describes, with its
inputs and its attributes: a graph that computes something else is refused, not converted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters import mobilenet_graph, tensorflow_graph
from converters.tensorflow_graph import Constant, Node
from shared.arch import catalogue
from shared.arch.mobilenet_v2_small import MobilenetV2SmallSpec
from shared.errors import WeightError
from shared.preprocess import RAW_BGR
from shared.weights import Arrays, ModelInfo, check, sha256

LICENCE = "Apache-2.0"  # of tf-pose-estimation, which publishes the weights
# What TensorFlow takes for an attribute that a file leaves out.
_DEFAULTS = {
    "dilations": [1, 1, 1, 1], "data_format": b"NHWC", "align_corners": False, "half_pixel_centers": False,
    "begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0,
}  # fmt: skip


def read(path: str | Path) -> tuple[Arrays, ModelInfo]:
    """The weights of `mobilenet_v2_small_graph_opt.pb`, or of another graph of exactly that network.

    Raises `WeightError` for a file that is no whole graph, and for any difference from the network: a weight that is
    missing, left over or of another shape; another operation, input, stride, epsilon or kind of statistics.
    """
    path = Path(path)
    spec = MobilenetV2SmallSpec()
    nodes = tensorflow_graph.read(path)
    constants = {name: node.constant for name, node in nodes.items() if node.constant}
    weights, fixed = mobilenet_graph.weights(spec), mobilenet_graph.constants(spec)
    shapes = {weights.get(name, name): _torch_shape(c) for name, c in constants.items() if name not in fixed}
    if shapes != spec.tensors():
        raise catalogue.mismatch(spec, shapes, str(path))
    for name, value in fixed.items():
        _expect_constant(constants.get(name), name, value, path)
    ops = {name: node for name, node in nodes.items() if node.constant is None}
    _expect_ops(ops, mobilenet_graph.ops(spec), path)
    found = {weights[name]: _weight(constants[name], path) for name in weights}
    arrays = {name: found[name] for name in spec.tensors()}
    check(arrays, spec, str(path))
    return arrays, ModelInfo(spec, RAW_BGR, path.name, sha256(path), LICENCE)


def _axes(constant: Constant) -> tuple[int, ...]:
    """The transposition to torch's axes from (height, width, in, out), or (height, width, channels, 1)."""
    if len(constant.shape) != 4:
        return tuple(range(len(constant.shape)))
    return (2, 3, 0, 1) if constant.name.endswith("/depthwise_weights") else (3, 2, 0, 1)


def _torch_shape(constant: Constant) -> tuple[int, ...]:
    return tuple(constant.shape[axis] for axis in _axes(constant))


def _weight(constant: Constant, path: Path) -> np.ndarray:
    array = constant.array(path).transpose(_axes(constant))
    if array.dtype != np.float32:
        raise WeightError(f"{path}: {constant.name} is {array.dtype}, expected float32; get the file again")
    return np.ascontiguousarray(array)


def _expect_constant(constant: Constant | None, name: str, value: np.ndarray, path: Path) -> None:
    """A constant that is not a weight must be there and hold `value`: it decides what the graph computes."""
    where = f"{path}: the constant {name}"
    if constant is None:
        raise WeightError(f"{where} is missing; expected the graph of mobilenet_v2_small; is it the right file?")
    if constant.shape != value.shape or not np.array_equal(constant.array(path), value):
        expected = f"{value.shape} of {value.flat[0] if value.size else 'nothing'}"
        raise WeightError(
            f"{where} of shape {constant.shape} is not {expected}; is it the graph of mobilenet_v2_small?"
        )


def _expect_ops(given: Mapping[str, Node], expected: Mapping[str, Node], path: Path) -> None:
    """Insist that the nodes are those of the network, each with its inputs and attributes, and no others."""
    problems = [f"{name} is missing" for name in expected if name not in given]
    problems += [f"{name} ({node.op}) is left over" for name, node in given.items() if name not in expected]
    for name, node in expected.items():
        if name in given:
            problems += [f"{name} {difference}" for difference in _differences(given[name], node)]
    if problems:
        more = f", … and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightError(
            f"{path}: not the network mobilenet_v2_small: {', '.join(problems[:3])}{more}. Is it the right file?"
        )


def _differences(given: Node, expected: Node) -> list[str]:
    found = []
    if given.op != expected.op:
        found.append(f"is {given.op}, expected {expected.op}")
    if given.inputs != expected.inputs:
        found.append(f"reads {', '.join(given.inputs)}, expected {', '.join(expected.inputs)}")
    for key, value in expected.attributes.items():
        actual = given.attributes.get(key, _DEFAULTS.get(key))
        if not _same(actual, value):
            found.append(f"has {key} {actual}, expected {value}")
    return found


def _same(actual: Any, expected: Any) -> bool:
    if isinstance(expected, float):  # a file holds float32
        return isinstance(actual, float) and np.float32(actual) == np.float32(expected)
    return bool(actual == expected)
