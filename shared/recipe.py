"""Everything that changes a trained result, as frozen values with names."""

import math
from dataclasses import dataclass

from shared.codec.targets import PAPER, TargetSpec
from shared.preprocess import CAFFE, Preprocess


@dataclass(frozen=True)
class Recipe:
    """How a network is trained on the built-in benchmark: Adam, linear warm-up, then a cosine to zero.

    `crop` is the side of the square training crop in px.  A crop is scaled by a factor drawn log-uniformly from
    `scale`, turned by up to `rotation` degrees and mirrored half of the time.  `gain` and `offset` bound the
    change of contrast and brightness.
    """

    model: str = "coco18"
    width: float = 0.25
    stages: int = 3
    norm: bool = True  # batch norms while training, folded into the convolutions of the weights that are saved
    preprocess: Preprocess = CAFFE
    targets: TargetSpec = PAPER
    crop: int = 256
    scale: tuple[float, float] = (0.65, 1.4)
    rotation: float = 25.0
    gain: float = 0.2
    offset: float = 20.0
    batch: int = 8
    steps: int = 4500
    lr: float = 3e-3
    warmup: int = 200
    bf16: bool = True  # convolutions in bfloat16, weights and losses in float32
    seed: int = 0


BUILTIN_SMALL = Recipe()
RECIPES = {"builtin_small": BUILTIN_SMALL}


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step, counted from 0."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))
