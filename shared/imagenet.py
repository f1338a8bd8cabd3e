"""The trunk of a network of one person from one that classifies ImageNet's pictures, as the originals take it.

By name, and only the layers that they list: HRNet's classifiers have a `final_layer` too, which is another layer.
Colours stay as they are: the originals feed PoseResNet blue first from the beginning, though torchvision's reads red.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.errors import UserError, WeightError
from shared.weights import Arrays

# Family -> first components of the names that are taken.
LAYERS = {
    "hrnet": (
        "conv1", "bn1", "conv2", "bn2", "layer1", "transition1", "stage2", "transition2", "stage3", "transition3",
        "stage4",
    ),
    "pose_resnet": ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"),
}  # fmt: skip


def apply(arrays: Arrays, found: Mapping[str, np.ndarray], spec: Any, where: str) -> tuple[Arrays, str]:
    """`arrays` with the trunk of `found` in their place, and a line that says what was not.

    An HRNet may have fewer blocks than `spec` in its layer1 (the small ones have); a ResNet must be of the same depth.
    Raises `UserError` for a family without such files, `WeightError` for tensors of another shape, and for a file
    without any.
    """
    if spec.family not in LAYERS:
        raise UserError(f"{where}: nothing of it fits {spec.name}; expected a pose network's weights of {spec.name}")
    trunk = {name: array for name, array in found.items() if name.split(".")[0] in LAYERS[spec.family]}
    taken = {name: trunk[name] for name in arrays if name in trunk}
    faults = [
        f"{name} {array.shape}, expected {arrays[name].shape}"
        for name, array in taken.items()
        if array.shape != arrays[name].shape
    ]
    if spec.family == "pose_resnet":
        wanted = [name for name in arrays if name.split(".")[0] in LAYERS[spec.family]]
        faults += [f"{name} missing" for name in wanted if name not in trunk]
        faults += [f"{name} left over" for name in trunk if name not in arrays]
    faults += [f"{name} with NaN or infinity" for name, array in taken.items() if not np.isfinite(array).all()]
    if faults or not taken:
        told = _some(faults) or "none of its tensors is one of the network's"
        raise WeightError(f"{where}: is of another network than {spec.name}: {told}; give the file of its own trunk")
    kept = [name for name in arrays if name not in taken]
    line = (
        f"{where}: {len(taken)} of the {len(arrays)} tensors of {spec.name} taken; {len(kept)} keep their first "
        f"values: {_some(kept)}; {len(found) - len(taken)} more of the file are not the network's"
    )
    return {**arrays, **{name: np.ascontiguousarray(array, np.float32) for name, array in taken.items()}}, line


def _some(texts: list[str]) -> str:
    more = f", … and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more
