"""The training loop: batches, a loss over every branch of every stage, Adam."""

import argparse
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_impl import losses, models, weights
from shared import training
from shared.command import command
from shared.recipe import Recipe, learning_rate
from shared.samples import Batch, Samples
from shared.training import Log, initial, recipe_of, save

LOG_EVERY = 50
SAVE_EVERY = 500


def loss_of(target_and_mask: Any, prediction: Any) -> Any:
    """The euclidean loss of one output; Keras passes the target with the mask as its last channel."""
    target, mask = target_and_mask[..., :-1], target_and_mask[..., -1:]
    return losses.euclidean(keras.ops.cast(prediction, "float32"), target, mask)


def prepare(network: keras.Model, recipe: Recipe) -> Callable[[Batch, float], float]:
    """Get a network ready to train: a function that takes one step at a learning rate and returns the loss."""
    optimizer = keras.optimizers.Adam(recipe.lr, epsilon=1e-8)
    fields = network.spec.stage_outputs()
    network.compile(optimizer, loss=dict.fromkeys(fields, loss_of))

    def step(batch: Batch, rate: float) -> float:
        optimizer.learning_rate = rate
        targets = {"heat": batch.heat, "paf": batch.paf}
        wanted = {name: np.concatenate([targets[field], batch.mask], axis=-1) for name, field in fields.items()}
        logs = network.train_on_batch(batch.images, wanted, return_dict=True)
        network.reset_metrics()
        return float(logs["loss"])

    return step


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    return training.parser("Keras")


@command(parser)
def main(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    samples = Samples(recipe)
    info, arrays = initial(recipe)
    if recipe.bf16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    network = models.build(info.spec)
    weights.set_arrays(network, arrays)
    train_step = prepare(network, recipe)
    log = Log(options.out, recipe, f"keras {keras.__version__} on {keras.backend.backend()}")
    recent = []
    for step, batch in zip(range(recipe.steps), samples.batches(), strict=False):
        rate = learning_rate(recipe, step)
        recent.append(train_step(batch, rate))
        if (step + 1) % LOG_EVERY == 0 or step + 1 == recipe.steps:
            log.step(step + 1, sum(recent) / len(recent), rate)
            recent.clear()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == recipe.steps:
            save(options.out, weights.get_arrays(network), info)
    return 0
