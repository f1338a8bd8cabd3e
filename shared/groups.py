"""Learning rates and weight decay by layer: every trainable tensor of a network in one group, found by its name.

The multipliers are those of the published training code: the refinement learns four times as fast as the rest, and
biases twice as fast as kernels.  Caffe's decay adds wd * w to the gradient; Keras' `l2(wd)` adds 2 * wd * w.
"""

import re
from dataclasses import dataclass
from typing import Any

from shared.arch import catalogue
from shared.errors import UserError, unknown


@dataclass(frozen=True)
class Group:
    """Tensors that train alike: `lr` and `decay` multiply the optimizer's."""

    lr: float
    decay: float
    names: tuple[str, ...]


# `scale` and `shift` are the weight and bias of a norm, `slope` is the weight of a PReLU.
_KINDS = ("kernel", "depthwise", "bias", "scale", "shift", "slope")
# Rule -> for each kind the multiplier of the learning rate in trunk and first stage, that in the refinement, and the
# decay.  Where an original has no such tensor, it follows the layer it belongs to, without decay.
RULES: dict[str, dict[str, tuple[float, float, float]]] = {
    rule: dict(zip(_KINDS, rows, strict=True))
    for rule, rows in {
        # ZC's prototxt; slopes as in that of BODY_25
        "caffe": ((1, 4, 1), (1, 4, 1), (2, 8, 0), (1, 4, 0), (2, 8, 0), (1, 1, 1)),
        # kevinlin, anatolix: l2 on kernels alone
        "keras": ((1, 4, 2), (1, 4, 2), (2, 8, 0), (1, 4, 0), (2, 8, 0), (1, 1, 0)),
        # H-Liu: slopes count as kernels, what else has one axis as a bias
        "hliu": ((1, 4, 1), (1, 4, 1), (2, 8, 0), (2, 8, 0), (2, 8, 0), (1, 4, 1)),
        # tensorboy, and PyTorch's optimizers if told nothing
        "flat": ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
        # Osokin: norms are the same everywhere
        "lightweight": ((1, 4, 1), (1, 4, 0), (2, 8, 0), (1, 1, 0), (2, 2, 0), (1, 1, 0)),
        # ours
        "modern": ((1, 1, 1), (1, 1, 1), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0)),
    }.items()
}
RULES["tensorboy"] = RULES["flat"]

# Caffe calls the layers of its refinement M...; those of BODY_25's first stages too, and they learn as fast.
_FIRST = re.compile(r"(conv|prelu)\d_\d(_CPM(_L\d)?)?|MobilenetV2\.\w+(\.\w+)?|Openpose\.MConv_Stage1_\w+")
_REFINEMENT = re.compile(r"M(conv|prelu)\d_stage\d+(_L\d)?(_\d)?|Openpose\.MConv_Stage\d+_\w+")
_NORMS = ("_bn", ".BatchNorm")


def groups(spec: Any, rule: str) -> list[Group]:
    """The groups of a network, in the order in which their first tensors come; a tensor without one is an error."""
    if rule not in RULES:
        raise unknown("optimizer.groups", rule, RULES)
    found: dict[tuple[float, float], list[str]] = {}
    for name, shape in catalogue.learnt(spec).items():
        layer, _, variable = name.rpartition(".")
        if catalogue.top_down(spec):
            kind, refinement = _kind(variable, shape), False
        else:
            kind, refinement = _place(layer, variable, f"{spec.name}: {name}")
        first, later, decay = RULES[rule][kind]
        found.setdefault((later if refinement else first, decay), []).append(name)
    return [Group(lr, decay, tuple(names)) for (lr, decay), names in found.items()]


def _kind(variable: str, shape: tuple[int, ...]) -> str:
    """The kind of a tensor of a network whose layers all learn alike; a norm's shift counts as a bias."""
    if variable == "bias":
        return "bias"
    if len(shape) != 4:
        return "scale"
    return "depthwise" if shape[1] == 1 else "kernel"


def _place(layer: str, variable: str, where: str) -> tuple[str, bool]:
    """The kind of a tensor, and whether it is of the refinement."""
    plain = layer
    for norm in _NORMS:
        plain = plain.removesuffix(norm)
    first = _FIRST.fullmatch(plain)
    if variable not in ("weight", "bias") or not (first or _REFINEMENT.fullmatch(plain)):
        raise UserError(
            f"{where}: no group has a tensor of that name; expected a layer of trunk, stage or refinement as in "
            "shared/arch: add the name to shared/groups.py"
        )
    if plain != layer:
        return ("scale" if variable == "weight" else "shift"), not first
    if variable == "bias":
        return "bias", not first
    if "prelu" in layer:
        return "slope", not first
    return ("depthwise" if layer.endswith("depthwise") else "kernel"), not first
