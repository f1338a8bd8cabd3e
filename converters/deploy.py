"""The deploy network of a spec, as Caffe layers under their published names.

After `pytorch_impl` and `keras_impl` this is the third wiring of these networks; it is written from the published
prototxt files, and both writing a prototxt and checking one go through it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.arch.body25 import BLOCKS, Body25Spec
from shared.arch.cpm import CpmSpec
from shared.arch.openpose import OpenPoseSpec
from shared.arch.rows import Conv, Row
from shared.errors import UserError

INPUT = "image"
OUTPUT = "net_output"
_TYPES = {"relu": "ReLU", "prelu": "PReLU"}


@dataclass(frozen=True)
class Layer:
    """One Caffe layer.  `settings` are the values that change what it computes, defaults left out."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    settings: tuple[tuple[str, object], ...] = ()


def layers(spec: object) -> list[Layer]:
    """The layers of `spec`, each after those that it reads.  Raises `UserError` for a network that Caffe lacks."""
    graph = _Graph()
    if isinstance(spec, OpenPoseSpec):
        _openpose(graph, spec)
    elif isinstance(spec, Body25Spec):
        _body25(graph, spec)
    elif isinstance(spec, CpmSpec):
        _cpm(graph, spec)
    else:
        name = getattr(spec, "name", spec)
        raise UserError(f"{name} never was a Caffe network and cannot become one; write .safetensors or .onnx instead")
    return graph.layers


class _Graph:
    """Layers in the making.  Every method returns the blob that it ends in."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def rows(self, rows: Iterable[Row], bottom: str, last_top: str = "") -> str:
        """`rows` in series from `bottom`; `last_top` names the last blob where it is not the layer's name."""
        rows = list(rows)
        for i, row in enumerate(rows):
            top = last_top if last_top and i == len(rows) - 1 else row.name
            if isinstance(row, Conv):
                sizes = (
                    ("num_output", row.cout),
                    ("pad", (row.kernel - 1) // 2),
                    ("kernel_size", row.kernel),
                )
                self._add("Convolution", row.name, (bottom,), top, *sizes)
                if row.act:
                    self._add(_TYPES[row.act], row.act_name, (top,), top)
            else:
                self._add("Pooling", row.name, (bottom,), top, ("pool", "MAX"), ("kernel_size", 2), ("stride", 2))
            bottom = top
        return bottom

    def concat(self, name: str, *bottoms: str, top: str = "") -> str:
        return self._add("Concat", name, bottoms, top or name)

    def _add(self, kind: str, name: str, bottoms: tuple[str, ...], top: str, *settings: tuple[str, object]) -> str:
        self.layers.append(Layer(kind, name, bottoms, (top,), settings))
        return top


def _openpose(graph: _Graph, spec: OpenPoseSpec) -> None:
    x = feature = graph.rows(spec.trunk(), INPUT)
    for stage in range(1, spec.stages + 1):
        paf = graph.rows(spec.branch(stage, "paf"), x)
        heat = graph.rows(spec.branch(stage, "heat"), x)
        if stage < spec.stages:
            x = graph.concat(f"concat_stage{stage + 1}", paf, heat, feature)
    # Six stages or four, the last concatenation is published as concat_stage7.
    graph.concat(f"concat_stage{max(spec.stages, 6) + 1}", heat, paf, top=OUTPUT)


def _body25(graph: _Graph, spec: Body25Spec) -> None:
    feature = graph.rows(spec.trunk(), INPUT)
    maps: dict[str, str] = {}  # field -> its newest map
    for field, stage in spec.sequence:
        branch = "L2" if field == "paf" else "L1"
        previous = [maps[f] for f in ("heat", "paf") if f in maps]
        x = graph.concat(f"concat_stage{stage}_{branch}", feature, *previous) if previous else feature
        for block in BLOCKS:
            outputs = []
            for row in spec.block(field, stage, block):
                x = graph.rows([row], x)
                outputs.append(x)
            x = graph.concat(f"Mconv{block}_stage{stage}_{branch}_concat", *outputs)
        maps[field] = graph.rows(spec.head(field, stage), x)
    graph.concat(OUTPUT, maps["heat"], maps["paf"])


def _cpm(graph: _Graph, spec: CpmSpec) -> None:
    concat = "features_in_stage_{}" if spec.face else "concat_stage{}"
    feature = x = graph.rows(spec.trunk(), INPUT)
    for stage in range(1, spec.stages + 1):
        heat = graph.rows(spec.branch(stage), x, OUTPUT if stage == spec.stages else "")
        if stage < spec.stages:
            x = graph.concat(concat.format(stage + 1), heat, feature)
