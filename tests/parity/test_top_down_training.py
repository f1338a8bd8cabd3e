"""The first steps of networks of one person in both frameworks, from the same weights and batches.

Their batch norms learn from a batch's own statistics, which enlarges rounding: in float32 a loss of these small
networks is off by up to 1e-5, a gradient of either framework by a hundredth, and twenty steps of Adam make 1e-4 of
that.  So twenty steps are compared in double precision, where the gates of OpenPose's networks hold with room, and in
float32 what needs no luck: every step of LPN and the median of HRNet's twenty, at a rate that moves these weights by a
thousandth of their deviation, as the rate of OpenPose's test moves its own.  Double means all of it: of the 1e-5 that
Keras loses of a step by a beta in float32, a PoseResNet makes 1e-3.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.steps import furthest
from shared import framework
from shared.arch.residual import Unit
from shared.data.builtin import Builtin
from shared.initial import initial
from shared.recipe import Optimizer, Recipe, Schedule, ema_decay, learning_rate
from shared.recipes import HRNET_BUILTIN, LPN_BUILTIN
from shared.samples import Batch, pipeline
from shared.weights import Arrays
from tests.commands.trainings import eagerly

pytestmark = pytest.mark.slow

STEPS = 20
LOSS, GRADIENT = 1e-5, 1e-4  # relative; as a share of the tensor's largest
RATE = 2.0**-17  # Adam does not step by rounding, and float32 has it exactly
RATE_SINGLE, BATCH_SINGLE = 2.0**-20, 8
OF_TWENTY = {"hrnet": np.median, "lpn": np.max}  # of the steps in float32: which is held to LOSS
STATISTIC = 1e-3  # of what a norm has learnt; float32, through all norms before it, leaves 2e-4
FRAMEWORKS = ("torch", "keras")


def small(base: Recipe, width: float = 1 / 4, **changes: Any) -> Recipe:
    """A quarter of the published width, crops of 64 px, float32, and a constant rate."""
    return replace(
        base, width=width, size=(64, 64), batch=4, ema=0.0, bf16=False, schedule=Schedule("constant", base=RATE),
        **changes,
    )  # fmt: skip


RECIPES = {
    "hrnet": small(HRNET_BUILTIN),
    "lpn": small(LPN_BUILTIN),
    "pose_resnet": small(HRNET_BUILTIN, 1 / 16, model="pose_resnet_50"),
}
two_networks = pytest.mark.parametrize("network", ["hrnet", "lpn"])


@cache
def batches(recipe: Recipe, n: int = STEPS) -> list[Batch]:
    """Images in double precision, of the values that float32 has."""
    samples = pipeline(Builtin("train", n * recipe.batch), recipe)
    found = [samples.batch(range(step * recipe.batch, (step + 1) * recipe.batch)) for step in range(n)]
    return [replace(batch, images=np.float64(batch.images)) for batch in found]


def single(batch: Batch) -> Batch:
    return replace(batch, images=np.float32(batch.images))


def trainer(name: str, recipe: Recipe) -> Any:
    ranks = framework.module(name, "ranks").Ranks()
    return framework.module(name, "training").Trainer(*initial(recipe), recipe, ranks)


def double(name: str, recipe: Recipe) -> Any:
    """A trainer whose weights, activations and optimiser are float64; only the loss itself is taken in float32."""
    if name == "torch":
        made = trainer(name, recipe)
        made.network.double()
        return made
    import keras
    import tensorflow as tf

    framework.module(name, "training")  # imported with Keras as it is
    policy = keras.config.set_dtype_policy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.config, "set_dtype_policy", lambda _: policy("float64"))
        made = trainer(name, recipe)
    policy("float32")
    for optimizer in made.optimizers:
        optimizer.beta_1, optimizer.beta_2 = (tf.constant(beta, tf.float64) for beta in recipe.optimizer.betas)
    apply = made._apply
    made._apply = lambda gradients, *scalars: apply(gradients, *(tf.cast(s, tf.float64) for s in scalars))
    made._arrays = lambda batch: [tf.constant(np.float32(a)) for a in (batch.images, batch.heat, batch.paf, batch.mask)]
    return made


class Found:
    """What a framework makes of a recipe in double precision: the first gradient and the loss of every step."""

    def __init__(self, name: str, recipe: Recipe, data: Recipe) -> None:
        made = double(name, recipe)
        self.gradient: Arrays = made.gradients(batches(data)[0])
        self.losses = [
            sum(made.step(batch, learning_rate(recipe, step), 0.0).values()) for step, batch in enumerate(batches(data))
        ]


@cache
def run(name: str, recipe: Recipe, data: Recipe | None = None) -> Found:
    """With the batches of the recipe `data`, or of its own."""
    return Found(name, recipe, data or recipe)


def apart(ours: Found, theirs: Found) -> float:
    """The largest relative difference of a step's loss."""
    return max(abs(a - b) / a for a, b in zip(ours.losses, theirs.losses, strict=True))


@pytest.mark.parametrize("network", RECIPES)
def test_twenty_steps_have_the_same_losses_and_the_same_first_gradients(network, figure):
    ours, theirs = (run(name, RECIPES[network]) for name in FRAMEWORKS)

    figure(
        f"{network}, 20 steps in float64: loss {apart(ours, theirs):.1e}, gradient "
        f"{furthest(ours.gradient, theirs.gradient):.1e}"
    )
    assert len(ours.losses) == STEPS
    assert apart(ours, theirs) <= LOSS
    assert furthest(ours.gradient, theirs.gradient) <= GRADIENT


ADAM = HRNET_BUILTIN.optimizer


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "ohkm"},
        {"optimizer": replace(ADAM, epsilon=3e-7)},  # about what Keras' own place for it makes of the first steps
        {"optimizer": replace(ADAM, betas=(0.8, 0.999))},
        {"optimizer": replace(ADAM, decay=1e-3)},
        {"schedule": Schedule("constant", base=1.05 * RATE)},
        {"seed": 1},  # other first weights
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_recipe_in_one_framework_is_seen(change):
    recipe = RECIPES["lpn"]
    ours, theirs = run("keras", recipe), run("torch", replace(recipe, **change), recipe)

    assert apart(ours, theirs) > 3 * LOSS


def test_an_optimiser_without_bias_correction_is_not_told_by_the_first_loss():
    """Why twenty steps are compared, and not one."""
    recipe = RECIPES["lpn"]
    ours, theirs = run("keras", recipe), run("torch", replace(recipe, optimizer=Optimizer("sgd", decay=0.0)), recipe)

    assert abs(ours.losses[0] - theirs.losses[0]) <= LOSS * ours.losses[0]
    assert apart(ours, theirs) > 3 * LOSS


def test_an_image_in_another_colour_order_is_seen():
    recipe = RECIPES["lpn"]
    turned = [replace(batch, images=batch.images[..., ::-1].copy()) for batch in batches(recipe)[:1]]
    theirs = double("torch", recipe).gradients(turned[0])

    assert furthest(run("keras", recipe).gradient, theirs) > 3 * GRADIENT


def at_rest(name: str, made: Any) -> Any:
    """The trainer, with batch norms that use what they have learnt in a training step, too."""
    if name == "torch":
        made.network.eval()
        return made
    import keras

    for layer in made.network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return made


@two_networks
def test_in_float32_the_first_losses_are_the_same_and_the_gradients_where_norms_rest(network, figure):
    recipe = RECIPES[network]
    batch = single(batches(recipe)[0])
    losses, gradients, learnt = {}, {}, {}
    for name in FRAMEWORKS:
        made = trainer(name, recipe)
        losses[name] = [*made.losses(batch).values(), *made.step(batch, 1e-12, 0.0).values()]
        learnt[name] = made.arrays()
        gradients[name] = at_rest(name, trainer(name, recipe)).gradients(batch)

    loss = max(abs(a - b) / a for a, b in zip(losses["torch"], losses["keras"], strict=True))
    gradient = furthest(*gradients.values())
    figure(f"{network}, first step in float32: loss {loss:.1e}, gradient with norms at rest {gradient:.1e}")
    assert loss <= LOSS
    assert gradient <= GRADIENT
    check_statistics(recipe, *learnt.values())


@two_networks
def test_in_float32_twenty_steps_have_the_same_losses(network, figure):
    base = replace(RECIPES[network], batch=BATCH_SINGLE)

    def losses(name: str, rate: float) -> np.ndarray:
        made = trainer(name, base)
        return np.array([sum(made.step(single(batch), rate, 0.0).values()) for batch in batches(base)])

    torch, keras, faster = (
        losses("torch", RATE_SINGLE),
        losses("keras", RATE_SINGLE),
        losses("torch", 1.05 * RATE_SINGLE),
    )

    found, other = (np.abs(theirs - torch) / torch for theirs in (keras, faster))
    figure(f"{network}, 20 steps in float32: loss {found.max():.1e}, half of the steps {np.median(found):.1e}")
    assert OF_TWENTY[network](found) <= LOSS
    assert OF_TWENTY[network](other) > 3 * LOSS


def check_statistics(recipe: Recipe, ours: Arrays, theirs: Arrays) -> None:
    """What norms have learnt in one step: the same, but for PyTorch's variance, which is that of a sample."""
    norms = [row for row in recipe.spec.rows() if isinstance(row, Unit) and row.norm]
    for row in norms:
        n = recipe.batch * np.prod(recipe.spec.size) // row.cell**2
        names = [f"{row.norm}.running_{kind}" for kind in ("mean", "var")]
        means, variances = ([arrays[name] for arrays in (ours, theirs)] for name in names)
        torch, keras = (variance - 0.9 for variance in variances)  # of the first 1, a tenth has been forgotten
        options = {"rtol": STATISTIC, "err_msg": row.norm}
        np.testing.assert_allclose(*means, atol=STATISTIC * np.abs(means[0]).max(), **options)
        np.testing.assert_allclose(torch, keras * n / (n - 1), **options)
        assert n > 16 or np.abs(torch - keras).max() > 50 * STATISTIC * np.abs(torch).max()
    assert len(norms) > 20


@two_networks
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(name, network):
    recipe = replace(RECIPES[network], ema=0.9, schedule=Schedule("steps", base=1e-3, gamma=0.1, drops=(3,)))
    found = [single(batch) for batch in batches(RECIPES[network])[:4]]

    def steps(made: Any, first: int, last: int) -> Any:
        for step in range(first, last):
            made.step(found[step], learning_rate(recipe, step), ema_decay(recipe, step))
        return made

    with eagerly(name):
        whole = steps(trainer(name, recipe), 0, 4)
        half = steps(trainer(name, recipe), 0, 2)
        again = trainer(name, recipe)
        again.set_state(half.state())
        steps(again, 2, 4)

    for wanted, arrays in ((whole.arrays(), again.arrays()), (whole.state(), again.state())):
        assert wanted.keys() == arrays.keys()
        for key in wanted:
            np.testing.assert_array_equal(arrays[key], wanted[key], err_msg=key)
    assert any((whole.arrays()[key] != half.arrays()[key]).any() for key in half.arrays())
