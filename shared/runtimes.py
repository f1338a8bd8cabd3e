"""The networks outside PyTorch and Keras: what a foreign runtime needs to be a `Net`, ONNX Runtime and OpenVINO."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.net import PLAIN, Preset
from shared.preprocess import published
from shared.weights import ModelInfo, existing, parsed, sha256

ONNX_INFO = "pose_info"  # key of the ONNX file's metadata under which our exports describe the model
ONNX_PRECISION = "pose_precision"  # and under which they say "int8"; absent for float32
Forward = Callable[[np.ndarray], dict[str, np.ndarray]]


class RuntimeNet:
    """See `shared.net.Net`.  `forward` maps images (N, H, W, 3) to every stage's output by layer name."""

    def __init__(
        self, info: ModelInfo, weights_sha256: str, runtime: str, forward: Forward, precision: str = "float32"
    ) -> None:
        self.info = info
        self.weights_sha256 = weights_sha256
        self.runtime = runtime
        self.precision = precision
        self._forward = forward

    def __call__(self, images: np.ndarray, stages: bool = False) -> dict[str, np.ndarray]:
        outputs = self._forward(images)
        maps = {field: outputs[name] for field, name in catalogue.final_outputs(self.info.spec).items()}
        return {**maps, **outputs} if stages else maps


def load_onnx(
    path: Path,
    model: str | None = None,
    device: str = "cpu",
    prototxt: Path | None = None,
    preset: Preset = PLAIN,
) -> RuntimeNet:
    """An ONNX file: ours (which describes itself), or another's with `model` naming what it is.

    Inputs may be NCHW or NHWC.  Outputs are known by layer name, or by a single [heat | paf] concatenation.
    """
    import onnxruntime

    del prototxt
    refuse("ONNX Runtime", preset, "threads")
    path = Path(path)
    session = _session(onnxruntime, existing(path, "an ONNX file"), device, preset.threads)
    (source, *more), names = session.get_inputs(), [output.name for output in session.get_outputs()]

    def run(x: np.ndarray) -> list[np.ndarray]:
        return session.run(names, {source.name: x})

    metadata = session.get_modelmeta().custom_metadata_map
    shapes = [list(each.shape) for each in (source, *more)]
    return _onnx_net(path, model, f"onnxruntime {onnxruntime.__version__}", metadata, shapes, names, run)


def load_openvino(
    path: Path,
    model: str | None = None,
    device: str = "cpu",
    prototxt: Path | None = None,
    preset: Preset = PLAIN,
) -> RuntimeNet:
    """An ONNX file as in `load_onnx`, run by OpenVINO; the precision is the preset's, whatever OpenVINO prefers."""
    import openvino

    del prototxt
    refuse("OpenVINO", preset, "threads", "precision")
    path = Path(path)
    existing(path, "an ONNX file")
    core = openvino.Core()
    if device.upper() not in core.available_devices:
        have = ", ".join(name.lower() for name in core.available_devices)
        raise UserError(f"--device {device}: OpenVINO here runs on {have}; choose one")
    if preset.precision == "bfloat16" and "BF16" not in core.get_property(device.upper(), "OPTIMIZATION_CAPABILITIES"):
        raise UserError(
            "--precision bfloat16: OpenVINO has none on this processor, and would run float32; leave it out, or use "
            "torch or keras"
        )
    options = {"INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[preset.precision]}
    if preset.threads:
        options["INFERENCE_NUM_THREADS"] = str(preset.threads)
    try:
        graph = core.read_model(path)
        request = core.compile_model(graph, device.upper(), options).create_infer_request()
    except RuntimeError as error:
        raise WeightError(
            f"{path}: OpenVINO cannot read it ({_last_line(error)}); expected an ONNX file; get it again"
        ) from None
    names = [output.get_any_name() for output in graph.outputs]

    def run(x: np.ndarray) -> list[np.ndarray]:
        return [array.copy() for array in request.infer({0: x}).values()]  # the request uses its arrays again

    paths = {key: ["framework", key] for key in (ONNX_INFO, ONNX_PRECISION)}
    metadata = {key: graph.get_rt_info(at).astype(str) for key, at in paths.items() if graph.has_rt_info(at)}
    shapes = [[d.get_length() if d.is_static else None for d in each.partial_shape] for each in graph.inputs]
    version = openvino.__version__.split("-")[0]
    return _onnx_net(path, model, preset.named(f"openvino {version}"), metadata, shapes, names, run, preset.precision)


def refuse(runtime: str, preset: Preset, *known: str) -> None:
    """A `UserError` for what is asked of a runtime that does not have it; `known` are the fields that it has."""
    if preset.stages:
        raise UserError(
            f"--stages {preset.stages}: {runtime} runs a file as it is; write one of fewer stages with "
            "python converters/convert.py SOURCE --out TARGET --stages N"
        )
    if preset.compiled:
        raise UserError(f"--compile: is PyTorch's; {runtime} runs a compiled graph as it is, leave it out")
    if preset.precision != "float32" and "precision" not in known:
        raise UserError(f"--precision {preset.precision}: {runtime} has none on a CPU; use torch, keras or openvino")
    if preset.threads and "threads" not in known:
        raise UserError(f"--threads {preset.threads}: is not for {runtime}; leave it out")


def _onnx_net(
    path: Path, model: str | None, runtime: str, metadata: dict[str, str], shapes: list[list], names: list[str],
    run: Callable[[np.ndarray], list[np.ndarray]], precision: str = "float32",
) -> RuntimeNet:  # fmt: skip
    """The net of an ONNX file, whatever runs it: `run` gives an input's outputs in the order of `names`."""
    info = _onnx_info(metadata, path, model)
    channels_last = _channels_last(shapes, path)

    def forward(images: np.ndarray) -> dict[str, np.ndarray]:
        x = np.ascontiguousarray(images if channels_last else images.transpose(0, 3, 1, 2), np.float32)
        try:
            found = run(x)
        except Exception as error:  # noqa: BLE001 (ONNX Runtime's exceptions share no public base class)
            raise UserError(
                f"{path}: {runtime} cannot run it on {x.shape} ({_last_line(error)}); "
                f"its input is {shapes[0]}: give it such images"
            ) from None
        if not channels_last:
            found = [array.transpose(0, 2, 3, 1) for array in found]
        return _named(dict(zip(names, found, strict=True)), info.spec, path)

    if ONNX_PRECISION in metadata:
        precision = metadata[ONNX_PRECISION]
        runtime += f", {precision}"
    return RuntimeNet(info, sha256(path), runtime, forward, precision)


def _session(onnxruntime: Any, path: Path, device: str, threads: int | None) -> Any:
    kind, _, number = device.partition(":")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    available = onnxruntime.get_available_providers()
    if kind not in providers or providers[kind] not in available:
        have = [name for name, provider in providers.items() if provider in available]
        raise UserError(f"--device {device}: ONNX Runtime here runs on {', '.join(have)}; choose one")
    chosen = (providers[kind], {"device_id": number}) if number else providers[kind]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between images the cores are others'
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[chosen])
    except Exception as error:  # noqa: BLE001 (its exceptions share no public base class)
        raise WeightError(
            f"{path}: ONNX Runtime cannot read it ({_last_line(error)}); expected an ONNX file; get it again"
        ) from None


def _last_line(error: Exception) -> str:
    """What an error comes to: ONNX Runtime has one line, OpenVINO tells first where in its code it was."""
    return (str(error).strip().split("\n") or [""])[-1][:160]


def _channels_last(shapes: list[list], path: Path) -> bool:
    """Whether the channels of the graph's only input come last."""
    if len(shapes) == 1 and len(shapes[0]) == 4:
        for axis in (1, 3):
            if shapes[0][axis] == 3:
                return axis == 3
    raise WeightError(f"{path}: inputs {shapes}, expected one image (N, 3, H, W) or (N, H, W, 3)")


def _onnx_info(metadata: dict[str, str], path: Path, model: str | None) -> ModelInfo:
    if ONNX_INFO in metadata:
        info = parsed(metadata[ONNX_INFO], path)
        catalogue.expect(info.spec, model, str(path))
        return info
    if model is None:
        raise WeightError(f"{path}: does not say which network it holds; name it with --model")
    spec = catalogue.spec(model)
    return ModelInfo(spec, published(spec), source=path.name, source_sha256=sha256(path))


def _named(outputs: dict[str, np.ndarray], spec: Any, path: Path) -> dict[str, np.ndarray]:
    """Outputs by layer name; a single concatenated output is cut into heat and paf, in that order."""
    final = catalogue.final_outputs(spec)
    if all(name in outputs for name in final.values()):
        return outputs
    channels = spec.channels
    (first, *others) = outputs.values()
    if others or first.shape[-1] != sum(channels.values()):
        shapes = {name: array.shape for name, array in outputs.items()}
        raise WeightError(
            f"{path}: outputs {shapes} are not those of {spec.name}, expected {channels}; is --model right?"
        )
    heat, paf = np.split(first, [channels["heat"]], axis=-1)
    return {final["heat"]: heat, **({final["paf"]: paf} if "paf" in final else {})}
