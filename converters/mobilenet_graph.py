"""mobilenet_v2_small as its frozen TensorFlow graph has it: every node, with its inputs and attributes."""

from collections.abc import Sequence

import numpy as np

from converters.tensorflow_graph import Node
from shared.arch.mobilenet_v2_small import COARSE, EPSILON, FINE, MobilenetV2SmallSpec, Unit

INPUT, FEATURE, OUTPUT = "image", "feat_concat", "Openpose/concat_stage7"
_SLICES = {"strided_slice/stack": 1, "strided_slice/stack_1": 3, "strided_slice/stack_2": 1}  # [1:3] of (N, H, W, C)
_WEIGHTS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_ACTIVATIONS = {"relu": "Relu", "relu6": "Relu6"}


def weights(spec: MobilenetV2SmallSpec) -> dict[str, str]:
    """Graph name -> canonical name of every weight."""
    found = {}
    for unit in spec.units():
        found[_kernel(unit)] = f"{unit.name}.weight"
        for name in _norm_inputs(unit):
            kind = name.rsplit("/", 1)[1]
            if kind in _WEIGHTS:
                found[name] = f"{unit.norm_name}.{_WEIGHTS[kind]}"
    return found


def constants(spec: MobilenetV2SmallSpec) -> dict[str, np.ndarray]:
    """The constants that are no weights, with the value that each must have."""
    found = {name: np.array([value], np.int32) for name, value in _SLICES.items()}
    for unit in spec.units():
        for name in _norm_inputs(unit):
            if name.rsplit("/", 1)[1] not in _WEIGHTS:
                found[name] = np.ones(unit.cout if unit.norm == "stored" else 0, np.float32)
    for name in (FEATURE, *(_stage_input(stage) for stage in range(2, spec.stages + 1)), OUTPUT):
        found[f"{name}/axis"] = np.array(3, np.int32)
    return found


def ops(spec: MobilenetV2SmallSpec) -> dict[str, Node]:
    """Every node that is not a constant, in the order of the forward pass."""
    nodes = {INPUT: Node("Placeholder")}
    fine, coarse = _add_trunk(nodes, spec)
    masks = {f"{kind}_mask": 0 for kind in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    nodes["Shape"] = Node("Shape", (fine,))
    nodes["strided_slice"] = Node("StridedSlice", ("Shape", *_SLICES), masks)
    enlarged = "base/layer_14/output/upsample"
    conventions = {"align_corners": False, "half_pixel_centers": False}
    nodes[enlarged] = Node("ResizeBilinear", (coarse, "strided_slice"), conventions)
    nodes[FEATURE] = _concat(FEATURE, fine, enlarged)
    source = FEATURE
    for stage in range(1, spec.stages + 1):
        paf = _add_units(nodes, spec.branch(stage, "paf"), source)
        heat = _add_units(nodes, spec.branch(stage, "heat"), source)
        if stage < spec.stages:
            source = _stage_input(stage + 1)
            nodes[source] = _concat(source, paf, heat, FEATURE)
    nodes[OUTPUT] = _concat(OUTPUT, heat, paf)
    return nodes


def _scope(name: str) -> str:
    return name.replace(".", "/")


def _stage_input(stage: int) -> str:
    return f"Openpose/MConv_Stage{stage}_concat"


def _kernel(unit: Unit) -> str:
    return _scope(unit.name) + ("/depthwise_weights" if unit.depthwise else "/weights")


def _norm_inputs(unit: Unit) -> tuple[str, ...]:
    """The constants that a norm reads: scale, shift, mean, variance.  A "Const" among them is no weight."""
    kinds = {
        None: (),
        "image": ("gamma", "beta", "Const", "Const_1"),
        "stored": ("Const", "beta", "moving_mean", "moving_variance"),
    }
    return tuple(f"{_scope(unit.norm_name)}/{kind}" for kind in kinds[unit.norm])


def _concat(name: str, *sources: str) -> Node:
    return Node("ConcatV2", (*sources, f"{name}/axis"))


def _add_trunk(nodes: dict[str, Node], spec: MobilenetV2SmallSpec) -> tuple[str, str]:
    """Add the trunk's nodes; returns the names of its two outputs, at stride 8 and 16."""
    source = _add_units(nodes, [spec.first()], INPUT)
    ends = []
    for block in spec.blocks():
        end = _add_units(nodes, block.units, source)
        if block.add:
            total = f"{_scope(block.name)}/add"
            nodes[total] = Node("Add", (end, source))
            end = total
        ends.append(end)
        source = end
    return ends[FINE], ends[COARSE]


def _add_units(nodes: dict[str, Node], units: Sequence[Unit], source: str) -> str:
    """Add the nodes of `units`, one after the other behind `source`; returns the name of the last."""

    def add(name: str, node: Node) -> None:
        nonlocal source
        nodes[name] = node
        source = name

    for unit in units:
        scope = _scope(unit.name)
        kind, leaf = ("DepthwiseConv2dNative", "depthwise") if unit.depthwise else ("Conv2D", "Conv2D")
        steps = {"strides": [1, unit.stride, unit.stride, 1], "dilations": [1, 1, 1, 1], "padding": b"SAME"}
        add(f"{scope}/{leaf}", Node(kind, (source, _kernel(unit)), {**steps, "data_format": b"NHWC"}))
        if unit.norm:
            how = {"is_training": unit.norm == "image", "epsilon": EPSILON, "data_format": b"NHWC"}
            add(f"{_scope(unit.norm_name)}/FusedBatchNorm", Node("FusedBatchNorm", (source, *_norm_inputs(unit)), how))
        if unit.act:
            add(f"{scope}/{_ACTIVATIONS[unit.act]}", Node(_ACTIVATIONS[unit.act], (source,)))
    return source
