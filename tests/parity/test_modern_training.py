"""What the recipes of this project add to the originals', together: AdamW, norms, a moving average, bfloat16."""

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from shared import checkpoint, framework
from shared.data.builtin import Builtin
from shared.initial import initial
from shared.recipe import Recipe, Schedule, ema_decay, learning_rate
from shared.recipes import MODERN
from shared.samples import Batch, Pipeline
from shared.weights import Arrays

pytestmark = pytest.mark.slow

NEAR = 0.01  # relative: bfloat16 has 8 bits, 0.004, of which the mean over a map leaves less
FAR = 1e-5  # what float32's rounding makes of such a loss
RECIPE = replace(
    MODERN, width=1 / 32, stages=1, batch=2, ema=0.9, clip=100.0, augment=replace(MODERN.augment, crop=64),
    schedule=Schedule("steps", base=1e-3, gamma=0.1, drops=(3,)),
)  # fmt: skip
both = pytest.mark.parametrize("name", ["torch", "keras"])


@cache
def batches() -> list[Batch]:
    samples = Pipeline(Builtin("train", 8), RECIPE)
    return [samples.batch(range(2 * step, 2 * step + 2)) for step in range(4)]


def trainer(name: str, recipe: Recipe = RECIPE, gain: float = 1.0) -> Any:
    """With the kernels of the last layers, which start with small values, multiplied."""
    info, arrays = initial(recipe)
    for output in recipe.spec.stage_outputs():
        arrays[f"{output}.weight"] *= np.float32(gain)
    ranks = framework.module(name, "ranks").Ranks()
    return framework.module(name, "training").Trainer(info, arrays, recipe, ranks)


def steps(made: Any, first: int, last: int) -> list[dict[str, float]]:
    """The losses of these steps."""
    return [
        made.step(batches()[step], learning_rate(RECIPE, step), ema_decay(RECIPE, step)) for step in range(first, last)
    ]


def copied(arrays: Arrays) -> Arrays:
    return {key: value.copy() for key, value in arrays.items()}


def differing(ours: Arrays, theirs: Arrays) -> list[str]:
    assert ours.keys() == theirs.keys()
    return [key for key in ours if not np.array_equal(ours[key], theirs[key])]


class Half:
    """A training of two steps: the weights that it learns from after each, and what it would save."""

    def __init__(self, name: str) -> None:
        self.trainer, get = trainer(name), framework.module(name, "weights").get_arrays
        self.own: list[Arrays] = []
        for step in range(2):
            steps(self.trainer, step, step + 1)
            self.own.append(copied(get(self.trainer.network)))
        self.average, self.state = copied(self.trainer.arrays()), copied(self.trainer.state())


half = cache(Half)


@both
def test_the_moving_average_takes_a_share_of_the_weights_in_every_step(name):
    average = {key: array.astype(np.float64) for key, array in initial(RECIPE)[1].items()}
    for step, own in enumerate(half(name).own):
        decay = ema_decay(RECIPE, step)
        average = {key: decay * array + (1 - decay) * own[key] for key, array in average.items()}

    for key, array in half(name).average.items():
        np.testing.assert_allclose(array, average[key], rtol=1e-5, atol=1e-7, err_msg=key)
    assert len(differing(half(name).average, half(name).own[-1])) > len(average) // 2


@both
def test_a_training_that_was_stopped_goes_on_to_the_same_weights_bit_for_bit(name, tmp_path):
    whole, path = half(name), tmp_path / "checkpoint.safetensors"
    checkpoint.write(path, checkpoint.Checkpoint({}, {}, whole.state))
    wanted = steps(whole.trainer, 2, 4)
    state = checkpoint.read(path, {}).state
    again = trainer(name)
    again.set_state(state)

    assert steps(again, 2, 4) == wanted
    assert not differing(again.state(), whole.trainer.state())
    assert not differing(again.arrays(), whole.trainer.arrays())
    assert len(differing(whole.average, again.arrays())) > len(whole.average) // 2
    for forgotten in forgettable(name, state):
        again.set_state({**state, **{key: np.zeros_like(state[key]) for key in forgotten}})
        steps(again, 2, 4)
        assert differing(again.arrays(), whole.trainer.arrays()), forgotten


def forgettable(name: str, state: Arrays) -> list[list[str]]:
    """Parts of a state without which a training goes on otherwise: the moving average, and all that is AdamW's."""
    average = [key for key in state if key.startswith("average/")]
    adam = [key for key in state if "/" in key and not key.startswith(("average/", "weights/"))]
    assert len(average) == len(RECIPE.spec.tensors())
    assert len(adam) > len(average)
    return [average, adam]


@both
def test_everything_that_a_training_keeps_is_float32(name):
    kept = {key: array.dtype.name for key, array in half(name).state.items() if key != "rate"}

    assert set(kept.values()) <= {"float32", "int64"}
    assert {key for key, dtype in kept.items() if dtype == "int64"} <= {
        "optimizer/0/0",
        "optimizer/1/0",
    }  # Keras' steps


@both
def test_convolutions_compute_in_bfloat16_and_weights_and_losses_are_float32(name):
    made = trainer(name)

    kinds, losses = convolutions(name, made)

    assert kinds == {"bfloat16"}
    assert rounded(losses) < len(losses)
    for arrays in (made.arrays(), made.gradients(batches()[0])):
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


@both
def test_without_bf16_convolutions_compute_in_float32_also_after_a_network_with_it(name):
    trainer(name)

    kinds, _ = convolutions(name, trainer(name, replace(RECIPE, bf16=False)))

    assert kinds == {"float32"}


@both
def test_losses_of_bfloat16_are_near_those_of_float32(name):
    ours, theirs = (trainer(name, replace(RECIPE, bf16=bf16), 50).losses(batches()[0]) for bf16 in (True, False))

    away = {output: abs(ours[output] - theirs[output]) / theirs[output] for output in theirs}
    assert max(away.values()) < NEAR
    assert min(away.values()) > FAR


def rounded(losses: dict[str, float]) -> int:
    """How many losses bfloat16 could hold: they would all end in 16 bits of zero."""
    return sum(not np.float32(loss).view(np.uint32) & 0xFFFF for loss in losses.values())


def convolutions(name: str, made: Any) -> tuple[set[str], dict[str, float]]:
    """In what all convolutions compute, forwards and back; and the losses."""
    batch, n = batches()[0], sum(len(shape) == 4 for shape in RECIPE.spec.tensors().values())
    if name == "torch":
        from torch.utils._python_dispatch import TorchDispatchMode

        found: Counter[tuple[str, str]] = Counter()

        class Seen(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                if "convolution" in func.name():
                    found.update((func.name(), str(array.dtype).removeprefix("torch.")) for array in args[:2])
                return func(*args, **(kwargs or {}))

        with Seen():
            made.gradients(batch)
        least = 4 * n  # an image or a gradient, and a kernel; forwards and back
    else:
        graph = made._gradients.get_concrete_function(*made._arrays(batch)).graph
        layers = [op for op in graph.get_operations() if op.type.startswith("Conv2D")]
        found = Counter((op.type, op.get_attr("T").name) for op in layers)
        least = 3 * n  # forwards, and back to the image and to the kernel
    assert found.total() >= least - 1  # nobody wants the gradient of the picture
    return {kind for _, kind in found}, made.losses(batch)
