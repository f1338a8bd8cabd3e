"""The training loop: batches, a loss over every branch of every stage, Adam."""

import argparse
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_impl import losses, models, weights
from shared import training
from shared.command import command
from shared.recipe import learning_rate
from shared.samples import Batch, Samples
from shared.training import Log, initial, recipe_of, save

LOG_EVERY = 50
SAVE_EVERY = 500


def loss_of(target_and_mask: Any, prediction: Any) -> Any:
    """The euclidean loss of one output; Keras passes the target with the mask as its last channel."""
    target, mask = target_and_mask[..., :-1], target_and_mask[..., -1:]
    return losses.euclidean(keras.ops.cast(prediction, "float32"), target, mask)


def train_step(network: keras.Model, batch: Batch) -> float:
    """One step of gradient descent; returns the loss before it, summed over all branches and stages."""
    targets = {"heat": batch.heat, "paf": batch.paf}
    wanted = {
        name: np.concatenate([targets[field], batch.mask], axis=-1)
        for name, field in network.spec.stage_outputs().items()
    }
    logs = network.train_on_batch(batch.images, wanted, return_dict=True)
    network.reset_metrics()
    return float(logs["loss"])


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    return training.parser("Keras")


@command
def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    recipe = recipe_of(options)
    samples = Samples(recipe)
    info, arrays = initial(recipe)
    if recipe.bf16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    network = models.build(info.spec)
    weights.set_arrays(network, arrays)
    optimizer = keras.optimizers.Adam(recipe.lr, epsilon=1e-8)
    network.compile(optimizer, loss=dict.fromkeys(info.spec.stage_outputs(), loss_of))
    log = Log(options.out, recipe, f"keras {keras.__version__} on {keras.backend.backend()}")
    recent = []
    for step, batch in zip(range(recipe.steps), samples.batches(), strict=False):
        rate = learning_rate(recipe, step)
        optimizer.learning_rate = rate
        recent.append(train_step(network, batch))
        if (step + 1) % LOG_EVERY == 0 or step + 1 == recipe.steps:
            log.step(step + 1, sum(recent) / len(recent), rate)
            recent.clear()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == recipe.steps:
            save(options.out, weights.get_arrays(network), info)
    return 0
