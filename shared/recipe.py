"""Everything that changes a trained result, as frozen values with names; and the learning rate of every step."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from typing import Any

from shared import augment
from shared.augment import Augment
from shared.codec import targets
from shared.codec.targets import TargetSpec
from shared.data.rules import MAIN_PERSON, NECK
from shared.errors import UserError, unknown
from shared.preprocess import CAFFE, IMAGENET, PREPROCESS, Preprocess

SAMPLES_TRAINVAL = 121_746  # the main persons of the Caffe training set, by which kevinlin's schedule counts
SAMPLES_KEVINLIN = 117_576  # kevinlin's own


@dataclass(frozen=True)
class Optimizer:
    """`name`: "sgd", "adam", or "adamw" (its weight decay is apart from the gradient).

    `velocity` of SGD: "caffe" keeps lr * gradient in it (Caffe, Keras), "torch" multiplies by the lr of the step;
    they differ for some steps after the learning rate changed.  `decay` is multiplied by the group's (see
    `shared.groups`); `groups` names the rule of learning rates and decay by layer.
    """

    name: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    velocity: str = "caffe"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float = 5e-4
    groups: str = "caffe"


@dataclass(frozen=True)
class Schedule:
    """The learning rate: a linear warm-up over `warmup` steps, then `law`.

    "steps": multiplied by `gamma` at each step of `drops`.  "cosine": half a cosine from the base down to zero at the
    last step.  "constant".  "plateau" (tensorboy): multiplied by `gamma` when the validation loss has not fallen for
    `patience` validations.
    """

    law: str = "steps"
    base: float = 4e-5
    warmup: int = 0
    gamma: float = 0.333
    drops: tuple[int, ...] = ()
    patience: int = 5


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    `init`: "caffe" (Gaussian of 0.01, zero biases), "he" (He's normal).  `samples`: one per main "person" or one per
    "image".  `main`, `masks` and `neck` name rules of `shared.data.rules` and `shared.data.masks`.  `loss` names one
    of the losses of `pytorch_impl.losses` and `keras_impl.losses`.  `batch` is what one step sees, all devices and
    the `accumulate` parts together.  `clip`: largest norm of the gradient, 0 for no limit.  `ema`: decay of the
    weights' moving average, 0 for none; where there is one, it is what is validated and saved.  `bf16`: convolutions
    in bfloat16, weights and losses in float32.  `validate`: steps between validations.
    """

    model: str = "coco18"
    width: float = 1.0
    stages: int | None = None  # None: as published
    norm: bool = False  # batch norms while training, folded into the convolutions of the weights that are saved
    init: str = "caffe"
    preprocess: Preprocess = CAFFE
    samples: str = "person"
    main: str = "caffe"
    masks: str = "caffe"
    neck: str = "caffe"
    targets: TargetSpec = targets.CAFFE
    augment: Augment = augment.CAFFE
    loss: str = "euclidean"
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    batch: int = 10
    accumulate: int = 1
    clip: float = 0.0
    ema: float = 0.0
    bf16: bool = False
    steps: int = 600_000
    validate: int = 2000
    seed: int = 0


def _kevinlin_drops(epochs: int = 100) -> tuple[int, ...]:
    """Epoch e trains at .333 ** floor(e * 117,570 / (121,746 * 17)); an epoch is 11,757 steps of 10."""
    per_epoch = SAMPLES_KEVINLIN // 10
    powers = [e * per_epoch * 10 // (SAMPLES_TRAINVAL * 17) for e in range(epochs)]
    return tuple(e * per_epoch for e in range(1, epochs) if powers[e] > powers[e - 1])


# Zhe Cao's prototxt: base 4e-5, dropped at 136,106 (of 10 samples each), 600,000 iterations.
ZC = Recipe(schedule=Schedule(base=4e-5, drops=(136_106, 272_212, 408_318, 544_424)))
KL = Recipe(  # kevinlin311tw/keras-openpose-reproduce
    main="keras", masks="keras", neck="keras", targets=targets.KERAS, augment=augment.KERAS,
    optimizer=Optimizer(groups="keras"),
    schedule=Schedule(base=2e-5, drops=_kevinlin_drops()),
    steps=100 * (SAMPLES_KEVINLIN // 10), validate=SAMPLES_KEVINLIN // 10,
)  # fmt: skip
HLIU = Recipe(  # H-Liu1997/Pytorch_Pose_Estimation_Framework, its HDF5 loader and defaults, on the paper's network
    main="keras", masks="keras", neck="keras", targets=targets.HL, augment=augment.HL, loss="euclidean_squared_mask",
    optimizer=Optimizer("adam", groups="hliu"),
    schedule=Schedule(base=1e-4, gamma=0.5, drops=(
        200_000, 300_000, 360_000, 420_000, 480_000, 540_000, 600_000, 700_000, 800_000, 900_000,
    )),
    steps=300 * 11_787, validate=11_787,
)  # fmt: skip
TENSORBOY = Recipe(  # tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation, its VGG-19 script
    preprocess=IMAGENET, samples="image", masks="none", neck="tensorboy", targets=targets.TENSORBOY,
    augment=augment.TENSORBOY, loss="mean",  # an epoch is 56,599 images of train2017 (those with keypoints) by 72
    optimizer=Optimizer(nesterov=True, velocity="torch", decay=0.0, groups="flat"),
    schedule=Schedule(law="plateau", base=1.0, gamma=0.8), batch=72, steps=80 * 786, validate=786,
)  # fmt: skip
MODERN = Recipe(  # ours, for the full network on COCO
    init="he", samples="image", main="caffe", masks="paper", neck="paper", targets=targets.PAPER,
    augment=augment.MODERN, norm=True,
    optimizer=Optimizer("adamw", decay=1e-2, groups="modern"),
    schedule=Schedule(law="cosine", base=1e-3, warmup=1000),
    batch=32, ema=0.9998, bf16=True, steps=200_000, validate=5000,
)  # fmt: skip
BUILTIN_SMALL = replace(  # drawn scenes are all of one size and never run out: little has to be augmented
    MODERN, width=0.25, stages=3,
    augment=replace(augment.MODERN, crop=256, scale=(0.9, 1.1), rotation=10.0, gain=0.1, offset=10.0),
    schedule=Schedule(law="cosine", base=3e-3, warmup=200), batch=8, ema=0.999, steps=16_000, validate=2000,
)  # fmt: skip
OVERFIT = replace(  # a few pictures until they are learnt by heart: whether anything between file and AP is wrong
    MODERN, width=0.25, stages=3,
    augment=replace(augment.MODERN, crop=320, scale=(0.9, 1.1), rotation=5.0, gain=0.05, offset=5.0),
    optimizer=Optimizer("adamw", decay=0.0, groups="modern"),
    schedule=Schedule(law="cosine", base=2e-3, warmup=50), batch=4, ema=0.99, steps=2500, validate=500,
)  # fmt: skip

RECIPES = {
    "zc": ZC, "kl": KL, "hliu": HLIU, "tensorboy": TENSORBOY, "modern": MODERN, "builtin_small": BUILTIN_SMALL,
    "overfit": OVERFIT,
}  # fmt: skip


def recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The named recipe with changes such as "steps=100", "augment.crop=256" or "targets=paper"."""
    if name not in RECIPES:
        raise unknown("--recipe", name, RECIPES)
    found = RECIPES[name]
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set {change}: expected KEY=VALUE, such as steps=1000 or augment.crop=256")
        found = _changed(found, key.split("."), text, key)
    check(found)
    return found


def check(recipe: Recipe) -> None:
    """A `UserError` for values that cannot be trained with."""
    for name, choices in _CHOICES.items():
        if attrgetter(name)(recipe) not in choices:
            raise unknown(f"recipe: {name}", attrgetter(name)(recipe), choices)
    for name, least in _LEAST.items():
        if not least <= attrgetter(name)(recipe) < math.inf:
            raise UserError(f"recipe: {name} is {attrgetter(name)(recipe)}; expected {least} or more")
    for name in ("schedule.base", "targets.sigma", "augment.target"):
        if not 0 < attrgetter(name)(recipe) < math.inf:
            raise UserError(f"recipe: {name} is {attrgetter(name)(recipe)}; expected a number above 0")
    low, high = recipe.augment.scale
    if not 0 < low <= high < math.inf:
        raise UserError(f"recipe: augment.scale is {low:g} to {high:g}; expected the lower factor first, both above 0")
    stride = recipe.targets.stride
    if recipe.batch % recipe.accumulate:
        raise UserError(f"recipe: batch {recipe.batch} in {recipe.accumulate} parts; expected parts of one size")
    if recipe.augment.crop % stride or recipe.augment.crop < stride:
        raise UserError(f"recipe: augment.crop {recipe.augment.crop}; expected a multiple of the stride {stride}")


# What nobody else looks at before it is used, or not at all.
_CHOICES: dict[str, Collection[str]] = {
    "samples": ("person", "image"),
    "main": MAIN_PERSON,
    "neck": NECK,
    "optimizer.velocity": ("caffe", "torch"),
    "schedule.law": ("steps", "cosine", "constant", "plateau"),
    "targets.overlap": ("max", "sum_clipped"),
    "targets.paf_overlap": ("last", "average"),
    "targets.rounding": ("c", "python", "truncate"),
    "targets.head": ("ear", "eye"),
    "augment.follow": ("main", "anywhere", "people"),
    "augment.law": ("uniform", "log"),
    "augment.shift_in": ("crop", "image"),
    "augment.mirror": ("pixel", "edge"),
    "augment.interpolation": ("cubic", "linear"),
    "augment.mask": ("cubic", "area"),
    "augment.outside": ("keep", "drop"),
    "augment.decode": ("full", "reduced"),
}
_LEAST = {
    "batch": 1,
    "steps": 1,
    "accumulate": 1,
    "validate": 1,
    "targets.stride": 1,
    "width": 1 / 64,
    "seed": 0,
    "ema": 0,
    "clip": 0,
}
_NAMED: dict[str, Mapping[str, Any]] = {
    "targets": targets.TARGETS, "augment": augment.AUGMENTS, "preprocess": PREPROCESS,
}  # fmt: skip


def _changed(value: Any, path: list[str], text: str, key: str) -> Any:
    fields = {field.name for field in dataclasses.fields(value)}
    if path[0] not in fields:
        raise unknown(f"--set {key}: the name", path[0], sorted(fields))
    old = getattr(value, path[0])
    if len(path) > 1:
        if not dataclasses.is_dataclass(old):
            raise UserError(f"--set {key}: {path[0]} has no parts; give it a value itself")
        return replace(value, **{path[0]: _changed(old, path[1:], text, key)})
    if path[0] in _NAMED:
        if text not in _NAMED[path[0]]:
            raise unknown(f"--set {key}: the profile", text, _NAMED[path[0]])
        return replace(value, **{path[0]: _NAMED[path[0]][text]})
    return replace(value, **{path[0]: _parsed(text, old, key)})


def _parsed(text: str, old: Any, key: str) -> Any:
    """`text` as a value of the kind of `old`."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            kind = float if any(isinstance(item, float) for item in old) else int
            found = tuple(kind(part) for part in text.split(",") if part)
            if len(found) == len(old) or key.endswith("drops"):
                return found
        if key.endswith(("stages", "cutoff")):
            return None if text.lower() == "none" else (int if key.endswith("stages") else float)(text)
        if isinstance(old, (int, float, str)):
            return type(old)(text)
    except (KeyError, ValueError):
        pass
    raise UserError(f"--set {key}={text}: expected a value like {old!r}")


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step, counted from 0, before what "plateau" makes of it."""
    schedule = recipe.schedule
    if step < schedule.warmup:
        return schedule.base * (step + 1) / schedule.warmup
    if schedule.law == "cosine":
        progress = (step - schedule.warmup) / max(1, recipe.steps - schedule.warmup)
        return schedule.base * 0.5 * (1 + math.cos(math.pi * progress))
    if schedule.law == "steps":
        return schedule.base * schedule.gamma ** sum(step >= drop for drop in schedule.drops)
    if schedule.law in ("constant", "plateau"):
        return schedule.base
    raise unknown("recipe: schedule.law", schedule.law, ("steps", "cosine", "constant", "plateau"))


def ema_decay(recipe: Recipe, step: int) -> float:
    """The decay of the moving average after a step: it starts lower, so that the first weights are soon forgotten."""
    return min(recipe.ema, (1 + step) / (10 + step))


# Values that came after the first checkpoints; these lack them and are of the defaults.
_LATER = ("augment.decode",)


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Its values, for logs and checkpoints; those of `_LATER` are left out where they are the defaults."""
    found = asdict(recipe)
    for name in _LATER:
        part, key = name.split(".")
        if attrgetter(name)(recipe) == attrgetter(name)(Recipe()):
            del found[part][key]
    return found
