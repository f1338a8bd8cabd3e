"""The networks outside PyTorch and Keras: what a foreign runtime needs to be a `Net`, and ONNX Runtime."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.preprocess import CAFFE, RAW_BGR
from shared.weights import ModelInfo, existing, sha256

ONNX_INFO = "pose_info"  # key of the ONNX file's metadata under which our exports describe the model


class RuntimeNet:
    """See `shared.net.Net`.  `forward` maps images (N, H, W, 3) to every stage's output by layer name."""

    def __init__(
        self, info: ModelInfo, weights_sha256: str, runtime: str, forward: Callable[[np.ndarray], dict]
    ) -> None:
        self.info = info
        self.weights_sha256 = weights_sha256
        self.runtime = runtime
        self._forward = forward

    def __call__(self, images: np.ndarray, stages: bool = False) -> dict[str, np.ndarray]:
        outputs = self._forward(images)
        maps = {field: outputs[name] for field, name in catalogue.final_outputs(self.info.spec).items()}
        return {**maps, **outputs} if stages else maps


def load_onnx(path: Path, model: str | None = None, device: str = "cpu", prototxt: Path | None = None) -> RuntimeNet:
    """An ONNX file: ours (which describes itself), or another's with `model` naming what it is.

    Inputs may be NCHW or NHWC.  Outputs are known by layer name, or by a single [heat | paf] concatenation.
    """
    import onnxruntime

    del prototxt
    path = Path(path)
    session = _session(onnxruntime, existing(path, "an ONNX file"), device)
    info = _onnx_info(session.get_modelmeta().custom_metadata_map, path, model)
    source, channels_last = _input(session.get_inputs(), path)
    names = [output.name for output in session.get_outputs()]

    def forward(images: np.ndarray) -> dict[str, np.ndarray]:
        x = images if channels_last else images.transpose(0, 3, 1, 2)
        try:
            found = session.run(names, {source.name: np.ascontiguousarray(x, np.float32)})
        except Exception as error:  # noqa: BLE001 (its exceptions share no public base class)
            raise UserError(
                f"{path}: ONNX Runtime cannot run it on {x.shape} ({_first_line(error)}); "
                f"its input is {source.shape}: give it such images"
            ) from None
        if not channels_last:
            found = [array.transpose(0, 2, 3, 1) for array in found]
        return _named(dict(zip(names, found, strict=True)), info.spec, path)

    return RuntimeNet(info, sha256(path), f"onnxruntime {onnxruntime.__version__}", forward)


def _session(onnxruntime: Any, path: Path, device: str) -> Any:
    kind, _, number = device.partition(":")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    available = onnxruntime.get_available_providers()
    if kind not in providers or providers[kind] not in available:
        have = [name for name, provider in providers.items() if provider in available]
        raise UserError(f"--device {device}: ONNX Runtime here runs on {', '.join(have)}; choose one")
    chosen = (providers[kind], {"device_id": number}) if number else providers[kind]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[chosen])
    except Exception as error:  # noqa: BLE001 (its exceptions share no public base class)
        raise WeightError(
            f"{path}: ONNX Runtime cannot read it ({_first_line(error)}); expected an ONNX file; get it again"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:160]


def _input(inputs: list, path: Path) -> tuple[Any, bool]:
    """The graph's only input, and whether its channels come last."""
    shapes = {source.name: source.shape for source in inputs}
    if len(inputs) == 1 and len(inputs[0].shape) == 4:
        for axis in (1, 3):
            if inputs[0].shape[axis] == 3:
                return inputs[0], axis == 3
    raise WeightError(f"{path}: inputs {shapes}, expected one image (N, 3, H, W) or (N, H, W, 3)")


def _onnx_info(metadata: dict[str, str], path: Path, model: str | None) -> ModelInfo:
    if ONNX_INFO in metadata:
        try:
            info = ModelInfo.from_dict(json.loads(metadata[ONNX_INFO]))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightError(f"{path}: metadata not understood ({error!r}); export the file again") from None
        catalogue.expect(info.spec, model, str(path))
        return info
    if model is None:
        raise WeightError(f"{path}: does not say which network it holds; name it with --model")
    preprocess = RAW_BGR if model == "mobilenet_v2_small" else CAFFE
    return ModelInfo(catalogue.spec(model), preprocess, source=path.name, source_sha256=sha256(path))


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
