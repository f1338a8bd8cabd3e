"""The only place that turns the name of a framework into code."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.errors import UserError, WeightError, unknown
from shared.net import Net

_FOLDERS = {"torch": "pytorch_impl", "keras": "keras_impl"}
_RUNTIMES = {
    "onnx": ("shared.runtimes", "load_onnx"),
    "openvino": ("shared.runtimes", "load_openvino"),
    "caffe": ("converters.caffe_runtime", "load_caffe"),
}
_PACKAGES = {"torch": "torch", "keras": "keras", "onnx": "onnxruntime", "openvino": "openvino", "caffe": "cv2"}
_OPTIONAL = ("openvino",)
# What a file of weights ends in, beginning at the first, and who reads it.
_ONNX = ("onnx", "openvino")
_READERS = {
    ".safetensors": ("torch", "keras"), ".pth": ("torch",), ".pt": ("torch",), ".weights.h5": ("keras",),
    ".caffemodel": ("caffe",), ".caffemodel.h5": ("caffe",), ".h5": ("keras", "caffe"), ".onnx": _ONNX,
}  # fmt: skip
_TARGETS = {"caffe": ".caffemodel", **dict.fromkeys(_ONNX, ".onnx"), **dict.fromkeys(_FOLDERS, ".safetensors")}
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
    """A ready network from a weight file.  Options: model, device, prototxt (caffe only), preset.

    Raises `WeightError` for a file that by its name is another framework's.
    """
    require(framework)
    _expect_own(framework, weights)
    if framework in _FOLDERS:
        return module(framework, "net").load(weights, **options)
    name, function = _RUNTIMES[framework]
    return getattr(importlib.import_module(name), function)(weights, **options)


def _expect_own(framework: str, weights: Path) -> None:
    readers = next((readers for suffix, readers in _READERS.items() if str(weights).endswith(suffix)), (framework,))
    if framework in readers:
        return
    hint = f", or convert it: python converters/convert.py {weights} --out NAME{_TARGETS[framework]}"
    raise WeightError(
        f"{weights}: a file for --framework {' or '.join(readers)}, and not for {framework}; choose that"
        f"{'' if readers == _ONNX else hint}"
    )
