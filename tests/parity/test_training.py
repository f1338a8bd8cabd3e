"""The first steps of both frameworks from the same weights and batches: losses, gradients and weights."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.steps import compare
from shared import framework, recipes
from shared.augment import Augment
from shared.data.builtin import Builtin
from shared.initial import initial
from shared.recipe import Optimizer, Recipe, Schedule
from shared.samples import Pipeline

pytestmark = pytest.mark.slow

STEPS = 20
LOSS, GRADIENT = 1e-5, 1e-4  # relative; as a share of the tensor's largest


def small(base: Recipe, **changes: object) -> Recipe:
    """A recipe for the small network: 1/8 of the width, three stages, crops of 128 px."""
    crop = replace(base.augment, crop=128)
    return replace(base, width=1 / 8, stages=3, init="he", batch=4, augment=crop, **changes)


SGD = small(recipes.ZC)
ADAM = small(recipes.ZC, optimizer=Optimizer("adam", groups="flat"), schedule=Schedule("constant", base=1e-5))
RECIPES = {
    "zc": SGD,
    "adam": ADAM,
    "adamw": replace(ADAM, optimizer=Optimizer("adamw", decay=0.1, groups="modern"), ema=0.9),
    "parts and clip": replace(SGD, accumulate=2, clip=50.0),
    "velocity of torch, warm-up": replace(
        SGD, optimizer=Optimizer(velocity="torch", nesterov=True), schedule=Schedule("cosine", base=4e-5, warmup=10)
    ),
    "velocity of caffe, warm-up": replace(SGD, schedule=Schedule("cosine", base=4e-5, warmup=10)),
    "keras' decay": replace(SGD, optimizer=Optimizer(groups="keras", decay=5.0)),
    "hliu's loss": replace(SGD, loss="euclidean_squared_mask"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_twenty_steps_have_the_same_losses_and_the_same_first_gradients(name):
    found = compare(RECIPES[name], STEPS)

    assert found.loss <= LOSS, found
    assert found.gradient <= GRADIENT, found


@pytest.mark.parametrize(
    ("change", "least"),
    [
        ({"loss": "quartic"}, LOSS),
        ({"optimizer": Optimizer(momentum=0.8)}, LOSS),
        ({"optimizer": Optimizer(groups="flat")}, LOSS),
        ({"schedule": Schedule(base=4.1e-5)}, LOSS),
        ({"optimizer": Optimizer(decay=1.0)}, LOSS),
        ({"augment": Augment(crop=128)}, LOSS),  # without the Caffe code's shift of one px
    ],
)
def test_another_recipe_in_one_framework_is_seen(change, least):
    found = compare(SGD, STEPS, keras=replace(SGD, **change))

    assert found.loss > 3 * least, found


def test_norms_give_the_same_losses_while_they_learn_and_after():
    """Gradients through norms are another matter: they enlarge float32's rounding a thousandfold."""
    with_norms = replace(SGD, norm=True)
    pipeline = Pipeline(Builtin(), with_norms)
    batch = pipeline.batch(range(with_norms.batch))
    info, arrays = initial(with_norms)
    losses = {}
    for name in ("torch", "keras"):
        ranks = framework.module(name, "ranks").Ranks()
        trainer = framework.module(name, "training").Trainer(info, arrays, with_norms, ranks)
        losses[name] = list(trainer.step(batch, 1e-9, 0.0).values())
        losses[name] += list(trainer.losses(batch).values())  # by the statistics that the step has learnt

    np.testing.assert_allclose(losses["torch"], losses["keras"], rtol=1e-5)
