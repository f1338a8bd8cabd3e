"""The ten layers that OpenPose shares with VGG-19, from torchvision's and Keras' ImageNet weights, by name.

By order would be unsafe: three of them have one shape, and a network with norms has other tensors in between.
Arrays are as the file has them: torchvision's conv1_1 reads red, green, blue, Keras' reads blue, green, red.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared import framework, hdf5
from shared.arch.rows import Conv, tensors, vgg
from shared.errors import UserError, WeightError
from shared.weights import Arrays, existing

EXPECTED = "torchvision's vgg19-dcbb9e9d.pth or Keras' vgg19_weights_tf_dim_ordering_tf_kernels(_notop).h5"
SHAPES = tensors(vgg(1.0))
_LAYERS = [row.name for row in vgg(1.0) if isinstance(row, Conv)]
# Places in torchvision's Sequential, which counts ReLUs and pools.
_TORCH = dict(zip(_LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19, 21), strict=True))
_KERAS = {f"block{layer[4]}_{layer[:4]}{layer[6]}": layer for layer in _LAYERS}  # block1_conv1: conv1_1
_HWIO_TO_OIHW = (3, 2, 0, 1)
TORCH_SIGNATURES = (b"PK\x03\x04", b"\x80")


def read(path: Path) -> Arrays:
    """conv1_1.weight, conv1_1.bias ... conv4_2.bias in torch's axis order; what else the file holds is left out.

    Raises `WeightError` for a file that is neither torchvision's nor Keras', or lacks one of these.
    """
    existing(path, EXPECTED)
    with path.open("rb") as file:
        head = file.read(8)
    if head == hdf5.SIGNATURE:
        found = _keras(path)
    elif head.startswith(TORCH_SIGNATURES):
        found = _torch(path)
    else:
        raise WeightError(f"{path}: neither a PyTorch nor an HDF5 file; expected {EXPECTED}")
    faults = [fault for name in SHAPES if (fault := _fault(name, found.get(name)))]
    if faults:
        more = f", … and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise WeightError(
            f"{path}: {len(SHAPES) - len(faults)} of the {len(SHAPES)} arrays of VGG-19 up to conv4_2 found; "
            f"{', '.join(faults[:3])}{more}; expected {EXPECTED}"
        )
    return {name: np.ascontiguousarray(found[name], np.float32) for name in SHAPES}


def apply(arrays: Mapping[str, np.ndarray], vgg: Mapping[str, np.ndarray]) -> Arrays:
    """A network's weights with VGG-19's in place of its first ten layers.

    Raises `UserError` for a network without these layers, or with layers of another width.
    """
    for name, array in vgg.items():
        if name not in arrays:
            raise UserError(
                f"VGG-19 for a network without {name}; expected its layers conv1_1 to conv4_2: leave VGG-19 out"
            )
        if arrays[name].shape != array.shape:
            raise UserError(
                f"VGG-19 for a network whose {name} has shape {arrays[name].shape}; expected {array.shape}, "
                "that of width 1: set width=1 or leave VGG-19 out"
            )
    return {**arrays, **vgg}


def _torch(path: Path) -> dict[str, np.ndarray]:
    checkpoint: Mapping[str, Any] = framework.module("torch", "weights").read_native(path)
    if any(str(name).endswith("running_mean") for name in checkpoint):
        raise WeightError(f"{path}: holds batch norms (torchvision's vgg19_bn?); expected {EXPECTED}")
    names = {f"{layer}.{kind}": f"features.{i}.{kind}" for layer, i in _TORCH.items() for kind in ("weight", "bias")}
    return {
        ours: checkpoint[theirs] for ours, theirs in names.items() if isinstance(checkpoint.get(theirs), np.ndarray)
    }


def _keras(path: Path) -> dict[str, np.ndarray]:
    """Keras 1 calls a kernel block1_conv1_W_1:0, Keras 2 kernel:0, Keras 3 just 0; it is the array with four axes."""
    found: dict[str, np.ndarray] = {}
    with hdf5.opened(path, EXPECTED) as file:
        for name, array in hdf5.arrays(file, path).items():
            layer = _KERAS.get(_layer(file, name))
            if layer is None:
                continue
            key = f"{layer}.{'weight' if array.ndim == 4 else 'bias'}"
            if key in found:
                raise WeightError(f"{path}: two arrays could be {key}, of which one is {name}; expected {EXPECTED}")
            found[key] = array.transpose(_HWIO_TO_OIHW) if array.ndim == 4 else array
    return found


def _layer(file: h5py.File, name: str) -> str:
    """The name of the layer to which an array belongs; Keras 3 has it as an attribute, the others as the folder."""
    folder = name.removeprefix("model_weights/").split("/")[0]
    return str(file[name].parent.attrs.get("name", "")) if folder == "layers" else folder


def _fault(name: str, array: np.ndarray | None) -> str:
    """What is wrong with an array, if anything."""
    if array is None:
        return f"{name} missing"
    if array.shape != SHAPES[name]:
        return f"{name} of shape {array.shape} instead of {SHAPES[name]}"
    if array.dtype.kind != "f":
        return f"{name} of {array.dtype} instead of float32"
    return "" if np.isfinite(array).all() else f"{name} with NaN or infinity"
