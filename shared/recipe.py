"""Everything that changes a trained result, as frozen values with names; and the learning rate of every step."""

import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from shared import augment, augment_person
from shared.arch import catalogue
from shared.augment import Augment
from shared.augment_person import PersonAugment
from shared.codec import crops, heatmaps, targets
from shared.codec.crops import CropSpec
from shared.codec.heatmaps import HeatmapSpec
from shared.codec.targets import TargetSpec
from shared.data.rules import MAIN_PERSON, NECK
from shared.errors import UserError, unknown
from shared.preprocess import CAFFE, Preprocess


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
    more than `patience` validations.
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

    `init`: "caffe" (Gaussian of 0.01, zero biases), "hrnet" (Gaussian of 0.001), "he" (He's normal).  `samples`: one
    per main "person" or one per "image".  `main`, `masks` and `neck` name rules of `shared.data.rules` and
    `shared.data.masks`.  `loss` names one of the losses of `pytorch_impl.losses` and `keras_impl.losses`.  `batch` is
    what one step sees, all devices and the `accumulate` parts together.  `clip`: largest norm of the gradient, 0 for no
    limit.  `ema`: decay of the weights' moving average, 0 for none; where there is one, it is what is validated and
    saved.  `bf16`: convolutions in bfloat16, weights and losses in float32.  `validate`: steps between validations.

    A network of one person has a `skeleton` ("": coco17) and an input of `size` (height, width; (): the model's own);
    `crops`, `heatmaps`, `person` and `per_image` are for it alone, as `neck`, `targets` and `augment` are for the
    others.  `per_image` crops of one sample come in a row, of one person after the other where there is no main one:
    the image is read once.
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
    skeleton: str = ""
    size: tuple[int, ...] = ()
    crops: CropSpec = crops.MSRA
    heatmaps: HeatmapSpec = heatmaps.MSRA
    person: PersonAugment = augment_person.COCO
    per_image: int = 1

    @property
    def spec(self) -> Any:
        """The network's; see `shared.arch.catalogue`."""
        given = {"skeleton": self.skeleton, "size": self.size, "norm": self.norm}
        changes = {name: value for name, value in given.items() if value}
        return catalogue.spec(self.model, width=self.width, stages=self.stages, **changes)

    @property
    def decoder(self) -> str:
        """What reads the heatmaps of a network of one person in validations: the one that `heatmaps` is drawn for."""
        return {"msra": "argmax"}.get(self.heatmaps.name, self.heatmaps.name)


def check(recipe: Recipe) -> None:
    """A `UserError` for values that cannot be trained with."""
    for name, choices in _CHOICES.items():
        if attrgetter(name)(recipe) not in choices:
            raise unknown(f"recipe: {name}", attrgetter(name)(recipe), choices)
    for (within, expected), names in _RANGES.items():
        for name in names:
            found = attrgetter(name)(recipe)
            values = found if isinstance(found, tuple) else (found,)
            if not all(value is None or (within(value) and value < math.inf) for value in values):
                raise UserError(f"recipe: {name} is {','.join(map(str, values))}; expected {expected}")
    if recipe.batch % recipe.accumulate:
        raise UserError(f"recipe: batch {recipe.batch} in {recipe.accumulate} parts; expected parts of one size")
    person = catalogue.top_down(catalogue.spec(recipe.model))
    for name in () if person else ("skeleton", "size"):
        if getattr(recipe, name):
            raise UserError(f"recipe: {name} is of networks of one person, {recipe.model} is none; leave it out")
    spec = recipe.spec
    if person:
        _check_person(recipe, spec)
        return
    low, high = recipe.augment.scale
    if not 0 < low <= high < math.inf:
        raise UserError(f"recipe: augment.scale is {low:g} to {high:g}; expected the lower factor first, both above 0")
    stride = recipe.targets.stride
    if recipe.augment.crop % stride or recipe.augment.crop < stride:
        raise UserError(f"recipe: augment.crop {recipe.augment.crop}; expected a multiple of the stride {stride}")


def _check_person(recipe: Recipe, spec: Any) -> None:
    if recipe.heatmaps.stride != spec.stride:
        raise UserError(f"recipe: heatmaps.stride is {recipe.heatmaps.stride}; expected {spec.stride}, the network's")
    weights, n_keypoints = recipe.heatmaps.joint_weights, spec.channels["heat"]
    if weights is not None and (len(weights) != n_keypoints or not all(0 <= weight < math.inf for weight in weights)):
        raise UserError(
            f"recipe: heatmaps.joint_weights is {','.join(f'{weight:g}' for weight in weights)}; expected "
            f"{n_keypoints} numbers of 0 or more, one for each keypoint of {spec.skeleton}"
        )
    if recipe.crops.aligned != recipe.heatmaps.aligned:
        raise UserError(
            f"recipe: crops {recipe.crops.name} with heatmaps {recipe.heatmaps.name}; "
            "expected both udp, or neither: they place a pixel differently"
        )


# What nobody else looks at before it is used, or not at all.
_CHOICES: dict[str, Collection[str]] = {
    "samples": ("person", "image"),
    "main": MAIN_PERSON,
    "neck": NECK,
    "preprocess.order": ("rgb", "bgr"),
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
_Range = tuple[Callable[[float], bool], str]
_COUNT: _Range = (lambda value: value >= 1, "1 or more")
_AMOUNT: _Range = (lambda value: value >= 0, "0 or more")
_POSITIVE: _Range = (lambda value: value > 0, "a number above 0")
_SHARE: _Range = (lambda value: 0 <= value <= 1, "a number from 0 to 1")
_DECAY: _Range = (lambda value: 0 <= value < 1, "0 or more and less than 1")
_RANGES: dict[_Range, tuple[str, ...]] = {  # of all values of a tuple; None is in any
    _COUNT: ("batch", "steps", "accumulate", "per_image", "validate", "targets.stride", "augment.power"),
    _AMOUNT: (
        "clip", "optimizer.decay", "schedule.warmup", "schedule.patience", "schedule.drops", "augment.rotation",
        "augment.shift", "augment.snap", "augment.offset", "person.half_body_keypoints", "person.rotation",
    ),
    _POSITIVE: (
        "optimizer.epsilon", "schedule.base", "schedule.gamma", "targets.sigma", "targets.cutoff", "targets.limb_width",
        "augment.target", "preprocess.scale", "preprocess.std", "heatmaps.sigma", "crops.padding", "crops.pixel_std",
    ),
    _SHARE: (
        "augment.flip", "augment.gain", "augment.jitter", "augment.jpeg", "augment.grey", "person.half_body",
        "person.rotated", "person.flip",
    ),
    _DECAY: ("ema", "optimizer.momentum", "optimizer.betas", "person.scale"),
    (lambda value: value >= 1 / 64, "0.015625 or more"): ("width",),
    (lambda value: 0 <= value < 2**32, "0 or more and less than 2^32"): ("seed",),
    (lambda value: 0 <= value <= 255, "numbers from 0 to 255"): ("augment.border",),
    (lambda value: value > -math.inf, "a finite number"): (
        "augment.joint_shift", "targets.paf_offset", "preprocess.mean",
    ),
}  # fmt: skip


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
# Values that a network of one person does not use, and those that only it uses.
_OF_SCENES = ("neck", "targets", "augment", "stages", "norm")
_OF_PEOPLE = ("skeleton", "size", "crops", "heatmaps", "person", "per_image")


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """The values that it uses, for logs and checkpoints; those of `_LATER` are left out where they are the defaults."""
    found = asdict(recipe)
    person = catalogue.top_down(recipe.spec)
    for name in _OF_SCENES if person else _OF_PEOPLE:
        del found[name]
    for name in () if person else _LATER:
        part, key = name.split(".")
        if attrgetter(name)(recipe) == attrgetter(name)(Recipe()):
            del found[part][key]
    return found
