"""The training loop: batches, a loss over every branch of every stage, Adam."""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from pytorch_impl import losses, models, weights
from shared import training
from shared.command import command
from shared.recipe import Recipe, learning_rate
from shared.samples import Batch, Samples
from shared.training import Log, initial, recipe_of, save

LOG_EVERY = 50
SAVE_EVERY = 500


def loss_of(network: Any, batch: Batch, bf16: bool) -> torch.Tensor:
    """The euclidean losses of all branches and stages, summed; with `bf16` the network computes in bfloat16."""
    images, heat, paf, mask = (
        torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for array in (batch.images, batch.heat, batch.paf, batch.mask)
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = network(images)
    fields = network.spec.stage_outputs()
    targets = {"heat": heat, "paf": paf}
    found = [losses.euclidean(outputs[name].float(), targets[field], mask) for name, field in fields.items()]
    return torch.stack(found).sum()


def prepare(network: Any, recipe: Recipe) -> Callable[[Batch, float], float]:
    """Get a network ready to train: a function that takes one step at a learning rate and returns the loss."""
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), recipe.lr)

    def step(batch: Batch, rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        loss = loss_of(network, batch, recipe.bf16)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    return training.parser("PyTorch")


@command(parser)
def main(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    samples = Samples(recipe)
    info, arrays = initial(recipe)
    network = models.build(info.spec)
    weights.set_arrays(network, arrays)
    train_step = prepare(network, recipe)
    log = Log(options.out, recipe, f"torch {torch.__version__}")
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
