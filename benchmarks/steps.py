"""The first steps of both frameworks from the same weights and batches."""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import Report
from shared import framework
from shared.data import sources
from shared.data.builtin import Builtin
from shared.data.source import Source
from shared.data.sources import options_of
from shared.errors import UserError
from shared.initial import initial
from shared.recipe import Recipe, ema_decay, learning_rate, to_dict
from shared.recipes import recipe
from shared.samples import Batch, Samples, pipeline
from shared.weights import Arrays

# A bias of LPN's that a softmax does not see, as it is added to all of its cells: the gradient is rounding.
_UNSEEN = "conv_mask.bias"
_ZERO = 1e-4  # of the largest of all tensors; a difference from zero is a share of this


@dataclass(frozen=True)
class Comparison:
    """Losses of both, and the largest differences.

    `loss` is relative; `gradient` (of the first step) and `weights` (after the last) are as `furthest` says.
    """

    torch: tuple[float, ...]  # the loss of every step
    keras: tuple[float, ...]
    loss: float
    gradient: float
    weights: float


def compare(recipe: Recipe, steps: int, source: Source | None = None, keras: Recipe | None = None) -> Comparison:
    """Train both frameworks; `keras` gives Keras another recipe, for a control that must differ."""
    source = Builtin(options=options_of(recipe)) if source is None else source
    runs = {"torch": _run("torch", recipe, steps, source), "keras": _run("keras", keras or recipe, steps, source)}
    (losses_a, gradient_a, weights_a), (losses_b, gradient_b, weights_b) = runs.values()
    loss = max(abs(a - b) / abs(a) for a, b in zip(losses_a, losses_b, strict=True))
    return Comparison(
        tuple(losses_a), tuple(losses_b), loss, furthest(gradient_a, gradient_b), furthest(weights_a, weights_b)
    )


def _run(name: str, recipe: Recipe, steps: int, source: Source) -> tuple[list[float], Arrays, Arrays]:
    made = pipeline(source, recipe)
    ranks = framework.module(name, "ranks").Ranks()
    trainer = framework.module(name, "training").Trainer(*initial(recipe), recipe, ranks)
    gradient = trainer.gradients(_batch(made, 0))
    losses = []
    for step in range(steps):
        found = trainer.step(_batch(made, step), learning_rate(recipe, step), ema_decay(recipe, step))
        losses.append(sum(found.values()))
    return losses, gradient, trainer.arrays()


def _batch(made: Samples[Any], step: int) -> Batch:
    n = made.recipe.batch
    return made.batch(range(step * n, (step + 1) * n))


def furthest(ours: Arrays, theirs: Arrays) -> float:
    """The largest difference of a tensor, as a share of its largest value; of one that is zero, see `_ZERO`."""
    zero = _ZERO * max(float(np.abs(array).max()) for array in ours.values())
    shares = []
    for name in ours.keys() | theirs.keys():
        scale = zero if name.endswith(_UNSEEN) else np.abs(ours[name]).max()
        shares.append(float(np.abs(ours[name] - theirs[name]).max() / scale))
    return max(shares)


def report(options: argparse.Namespace) -> Report:
    """Losses of every step in both frameworks; the largest differences are in the settings."""
    if options.steps < 1:
        raise UserError(f"--steps {options.steps}: expected 1 or more")
    chosen = recipe(options.recipe, options.set)
    source = sources.source_of(options, chosen)
    found = compare(chosen, options.steps, source)
    rows = [
        {"step": step, "torch": a, "keras": b, "relative difference": f"{abs(a - b) / abs(a):.1e}"}
        for step, (a, b) in enumerate(zip(found.torch, found.keras, strict=True))
    ]
    spec = chosen.spec
    values = " ".join([options.recipe, *options.set])
    of = (
        f"{spec.name} of width {spec.width:g} with {spec.stages} stages, data {options.data}, recipe {values}. Largest "
        f"differences: a step's loss {found.loss:.1e} (relative), a tensor of the first gradient {found.gradient:.1e} "
        f"and of the last weights {found.weights:.1e} (shares of its largest value)"
    )
    settings = {"recipe": to_dict(chosen), "loss": found.loss, "gradient": found.gradient, "weights": found.weights}
    return Report("steps", of, settings, rows)
