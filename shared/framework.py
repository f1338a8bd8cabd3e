"""The only place that turns the name of a framework into code."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.errors import UserError, unknown
from shared.net import Net

_FOLDERS = {"torch": "pytorch_impl", "keras": "keras_impl"}
_RUNTIMES = {
    "onnx": ("shared.runtimes", "load_onnx"),
    "openvino": ("shared.runtimes", "load_openvino"),
    "caffe": ("converters.caffe_runtime", "load_caffe"),
}
_PACKAGES = {"torch": "torch", "keras": "keras", "onnx": "onnxruntime", "openvino": "openvino", "caffe": "cv2"}
_OPTIONAL = ("openvino",)
FRAMEWORKS = tuple(_PACKAGES)


def require(framework: str) -> None:
    """A `UserError` if the framework is unknown or its package is not installed."""
    if framework not in _PACKAGES:
        raise unknown("--framework", framework, FRAMEWORKS)
    package = _PACKAGES[framework]
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"--framework {framework} needs the package {package}, which is not installed here; "
            f"run: pip install {package if framework in _OPTIONAL else '-r requirements.txt'}"
        )


def module(framework: str, name: str) -> ModuleType:
    """`pytorch_impl.<name>` or `keras_impl.<name>`."""
    if framework not in _FOLDERS:
        raise unknown("framework", framework, _FOLDERS)
    require(framework)
    return importlib.import_module(f"{_FOLDERS[framework]}.{name}")


def load(framework: str, weights: Path, **options: Any) -> Net:
    """A ready network from a weight file.  Options: model, device, prototxt (caffe only), preset."""
    require(framework)
    if framework in _FOLDERS:
        return module(framework, "net").load(weights, **options)
    name, function = _RUNTIMES[framework]
    return getattr(importlib.import_module(name), function)(weights, **options)
