"""PyTorch files of networks of one person: HRNet's, humanpose.pytorch's, lpn-pytorch's, mmpose's, and of ImageNet.

They hold a bare state dict, or a checkpoint with one inside it.  DistributedDataParallel puts `module.` before each
name, mmpose `backbone.` and the name of its head.  Networks that classify ImageNet's pictures have the same names up to
their heads, of which one is a `final_layer` too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared import framework
from shared.arch.residual import FINAL
from shared.errors import WeightError
from shared.weights import Arrays

# Where a checkpoint has its tensors, the first that is there: both are of the last epoch, whatever they are called.
_INSIDE = ("state_dict", "best_state_dict", "model")
_BACKBONE = "backbone."
_MMPOSE = ((_BACKBONE, ""), (f"head.{FINAL}.", f"{FINAL}."), (f"keypoint_head.{FINAL}.", f"{FINAL}."))
_CLASSIFYING = ("head", "incre_modules", "downsamp_modules", "classifier", "fc")  # beginnings of names
_OURS = (f"{FINAL}.weight", f"{FINAL}.bias")


@dataclass(frozen=True)
class StateDict:
    """`arrays` under the names of HRNet's or torchvision's code.  `heatmaps`: whether the network gives these."""

    arrays: Arrays
    heatmaps: bool


def read(path: Path) -> StateDict | None:
    """The tensors of a PyTorch file; None for another kind of network."""
    return state_dict(framework.module("torch", "weights").read_native(path), str(path))


def state_dict(checkpoint: Mapping[str, Any], where: str) -> StateDict | None:
    """The same of what `read_native` made of a file.  Raises `WeightError` for one with two tensors of one name."""
    inside = [checkpoint[key] for key in _INSIDE if isinstance(checkpoint.get(key), Mapping)]
    found = _renamed(inside[0] if inside else checkpoint, (("module.", ""),), where)
    mmpose = any(name.startswith(_BACKBONE) for name in found)
    if mmpose:
        found = _renamed(found, _MMPOSE, where)
    if not any(name.startswith("layer1.") for name in found):
        return None
    for name, array in found.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            held = getattr(array, "dtype", type(array).__name__)
            raise WeightError(f"{where}: {name} holds {held}, expected an array of float32 weights")
    classifies = not mmpose and any(name.split(".")[0] in _CLASSIFYING for name in found)
    return StateDict(found, heatmaps=not classifies and any(name in found for name in _OURS))


def _renamed(tensors: Mapping[str, Any], rows: tuple[tuple[str, str], ...], where: str) -> dict[str, Any]:
    """`tensors` with the first of `rows` (beginning, what takes its place) that each name has."""
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        before, after = next((row for row in rows if str(name).startswith(row[0])), ("", ""))
        renamed = after + str(name).removeprefix(before)
        if renamed in found:
            raise WeightError(f"{where}: two arrays are {renamed}, expected one; which is meant is unknown")
        found[renamed] = tensor
    return found


def classifier(arrays: Mapping[str, np.ndarray]) -> str:
    """What a network without heatmaps is, in words."""
    kind = "an HRNet" if any(name.startswith("stage2.") for name in arrays) else "a ResNet"
    heads = [name for name in arrays if name.split(".")[0] in (*_CLASSIFYING, FINAL)]
    without = f"has {heads[0]} and" if heads else "has"
    return f"{kind} that classifies pictures ({without} no {_OURS[0]} of a pose network)"
