"""Weights to one ONNX file that says what it is."""

import json
from pathlib import Path

import onnx

from shared import framework as frameworks
from shared.errors import UserError
from shared.runtimes import ONNX_INFO
from shared.weights import Arrays, ModelInfo, check, replacing


def write(arrays: Arrays, info: ModelInfo, path: Path, framework: str = "torch") -> None:
    """Export through PyTorch (NCHW) or Keras (NHWC): any batch and size, every stage an output.

    The model's description goes into the file's metadata, where `shared.runtimes.load_onnx` finds it; the
    format itself records opset and exporter.  A file appears whole or not at all.
    """
    check(arrays, info.spec, str(path))
    network = frameworks.module(framework, "models").build(info.spec)
    frameworks.module(framework, "weights").set_arrays(network, arrays)
    with replacing(path) as temporary:
        frameworks.module(framework, "export").export_onnx(network, temporary)
        model = onnx.load(temporary)
        _expect_stages(model, info, framework)
        _drop_traces(model)
        onnx.helper.set_model_props(model, {ONNX_INFO: json.dumps(info.to_dict(), sort_keys=True)})
        onnx.checker.check_model(model)
        onnx.save(model, temporary)


def _drop_traces(model: onnx.ModelProto) -> None:
    """Remove where in the source code each node came from, so that equal weights give equal files."""
    for part in (
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def _expect_stages(model: onnx.ModelProto, info: ModelInfo, framework: str) -> None:
    found, wanted = {output.name for output in model.graph.output}, set(info.spec.stage_outputs())
    if found != wanted:
        raise UserError(
            f"ONNX export with {framework}: outputs {sorted(found)}, expected {sorted(wanted)}; "
            "use the versions in requirements.txt"
        )
