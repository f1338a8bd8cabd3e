"""Every architecture by name."""

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from math import prod
from typing import Any, Protocol

from shared.arch import hrnet, lpn, pose_resnet
from shared.arch.body25 import Body25Spec
from shared.arch.cpm import CpmSpec
from shared.arch.mobilenet_v2_small import MobilenetV2SmallSpec
from shared.arch.openpose import OpenPoseSpec
from shared.arch.residual import FINAL
from shared.errors import UserError, WeightError, unknown
from shared.skeleton import skeleton


class Spec(Protocol):
    """What every architecture tells: its names and shapes.  `family` names the file that builds it."""

    name: str
    skeleton: str
    width: float
    stages: int
    family: str
    stride: int

    @property
    def channels(self) -> dict[str, int]:
        """Field ("heat", "paf") -> channels."""

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Canonical name -> shape (torch's axis order) of every weight."""

    def stage_outputs(self) -> dict[str, str]:
        """Layer name -> field, for every stage, in the order of the forward pass."""


_ALL: tuple[Any, ...] = (
    OpenPoseSpec("coco18", "coco18", 6),
    OpenPoseSpec("mpi15", "mpi15", 6),
    OpenPoseSpec("mpi15_4stages", "mpi15", 4),
    Body25Spec("body25", "body25"),
    Body25Spec("coco18_dense", "coco18"),
    CpmSpec("hand21", "hand21"),
    CpmSpec("face70", "face70"),
    MobilenetV2SmallSpec(),
    *map(hrnet.HrnetSpec, hrnet.LAYOUTS),
    *map(lpn.LpnSpec, lpn.LAYOUTS),
    *map(pose_resnet.PoseResnetSpec, pose_resnet.LAYOUTS),
)
SPECS = {spec.name: spec for spec in _ALL}
# Skeleton -> the size of the input that networks were published for; a weight file's shapes do not tell it.
_SIZES = {"coco17": (256, 192), "mpii16": (256, 256)}
_FIELDS = ("width", "stages", "norm", "skeleton", "size")  # of a spec in a weight file, beside its name
_STATISTICS = (".running_mean", ".running_var")  # of norms: measured and not learnt, so no parameters


def spec(name: str, **changes: Any) -> Any:
    """The spec of that name, with `width`, `stages`, `skeleton` or `size` replaced where the family has them."""
    if name not in SPECS:
        raise unknown("model", name, SPECS)
    base = SPECS[name]
    changes = {key: value for key, value in changes.items() if value is not None and value != getattr(base, key, None)}
    wrong = [key for key in changes if key not in asdict(base)]
    if wrong:
        raise UserError(f"model {name}: {wrong[0]} is fixed at {getattr(base, wrong[0], False)}; leave it out")
    return replace(base, **changes)


def learnt(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the weights that a training changes: all but the statistics of batch norms."""
    return {name: shape for name, shape in spec.tensors().items() if not name.endswith(_STATISTICS)}


def n_parameters(spec: Spec) -> int:
    """How many numbers are learnt, as published tables and `python -m shared.arch` count them."""
    return sum(map(prod, learnt(spec).values()))


def final_outputs(spec: Spec) -> dict[str, str]:
    """Field -> name of the layer that gives its final map."""
    return {field: name for name, field in spec.stage_outputs().items()}


def without_norms(spec: Any) -> Any:
    """The spec of the same network after its norms were folded; families without norms are as they were."""
    return replace(spec, norm=False) if getattr(spec, "norm", False) else spec


def cut(spec: Any, stages: int | None) -> Any:
    """The spec of the same network stopped after its first `stages` stages; None: as it is."""
    if stages is None or stages == spec.stages:
        return spec
    if not 1 <= stages < spec.stages:
        raise UserError(f"--stages {stages}: {spec.name} has {spec.stages} here; expected 1 to {spec.stages}")
    if "stages" not in asdict(spec):
        raise UserError(f"--stages {stages}: {spec.name} always runs its {spec.stages}; leave it out")
    return replace(spec, stages=stages)


def top_down(spec: Any) -> bool:
    """Whether the network sees one person, cut out of an image to `spec.size`, and not a whole image."""
    return hasattr(spec, "size")


def to_dict(spec: Any) -> dict[str, Any]:
    """The spec as JSON has it: `from_dict` reads it."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(spec).items()}


def from_dict(values: Mapping[str, Any]) -> Any:
    """The inverse of `to_dict`: a spec as a weight file stores it."""
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key in _FIELDS}
    return spec(values["name"], **given)


def infer(shapes: Mapping[str, tuple[int, ...]], where: str, name: str | None = None) -> Any:
    """The spec whose weights have exactly these names and shapes, with its width, stages and skeleton.

    A network for one person gets the size that was published for its skeleton, which the shapes do not tell.
    `name` restricts the search to one model.  Raises `WeightError` that names the nearest architecture and what
    is missing from it and left over.
    """
    candidates = [s for base in ([spec(name)] if name else SPECS.values()) for s in _variants(base, shapes)]
    given = {key: tuple(shape) for key, shape in shapes.items()}
    for candidate in candidates:
        if candidate.tensors() == given:
            return candidate
    nearest = max(candidates, key=lambda s: len(s.tensors().items() & given.items()))
    raise mismatch(nearest, given, where)


def mismatch(expected: Any, given: Mapping[str, tuple[int, ...]], where: str) -> WeightError:
    """The error for weights that do not fit `expected`: what is missing, left over or wrongly shaped."""
    wanted = expected.tensors()
    missing = [key for key in wanted if key not in given]
    extra = [key for key in given if key not in wanted]
    shaped = [
        f"{key} {tuple(given[key])}, expected {wanted[key]}"
        for key in wanted
        if key in given and tuple(given[key]) != wanted[key]
    ]
    found = len(wanted) - len(missing) - len(shaped)
    parts = [f"{where}: {found} of the {len(wanted)} arrays of {expected.name} found"]
    for title, names in (("missing", missing), ("of another shape:", shaped), ("left over", extra)):
        if names:
            more = f", … and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{title} {', '.join(names[:3])}{more}")
    return WeightError("; ".join(parts) + ". Is it the right file, and the right --model?")


def _variants(base: Any, shapes: Mapping[str, tuple[int, ...]]) -> list[Any]:
    """`base` at the width and with the number of stages that the file suggests."""
    if top_down(base):
        return _top_down_variants(base, shapes)
    fields = asdict(base)
    changes: dict[str, Any] = {}
    if "width" in fields and "conv1_1.weight" in shapes:
        changes["width"] = shapes["conv1_1.weight"][0] / 64
    if "stages" in fields and base.family != "body25":  # whose files always have all six
        stages = [int(m[1]) for key in shapes if (m := re.match(r"Mconv1_stage(\d+)", key))]
        changes["stages"] = max(stages, default=1)
    if "norm" in fields:
        changes["norm"] = "conv1_1_bn.weight" in shapes
    if base.name == "mpi15" and changes.get("stages") == 4:  # published under a name of its own
        return [base]
    return [replace(base, **changes)]


def _top_down_variants(base: Any, shapes: Mapping[str, tuple[int, ...]]) -> list[Any]:
    n_keypoints = shapes.get(f"{FINAL}.weight", (0,))[0]
    for name, size in _SIZES.items():
        if skeleton(name).n_keypoints == n_keypoints:
            base = replace(base, skeleton=name, size=size)
    return [*(replace(base, width=width) for width in base.widths(shapes)), base]


def expect(found: Any, name: str | None, where: str) -> None:
    """Insist that a file holds the model that the user named, if one was named."""
    if name is not None and spec(name).name != found.name:
        raise WeightError(f"{where}: holds {found.name}, expected {name}; leave --model out or give another file")
