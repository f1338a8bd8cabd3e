"""The "plateau" schedule is the one of PyTorch that tensorboy trains with; other schedules do not see validations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.recipe import Recipe
from shared.recipes import TENSORBOY, ZC
from shared.training import Position


def factors(losses, recipe: Recipe) -> list[float]:
    """The factor of the learning rate after each validation."""
    position, found = Position(), []
    for loss in losses:
        position.validated(loss, recipe)
        found.append(position.factor)
    return found


def published(losses, recipe: Recipe) -> list[float]:
    """The same by PyTorch; its limit to changes above 1e-8 is out of the way."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = recipe.schedule
    law = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=schedule.gamma, patience=schedule.patience, threshold=1e-4, eps=0
    )
    found = []
    for loss in losses:
        law.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def plateau(patience: int) -> Recipe:
    return replace(TENSORBOY, schedule=replace(TENSORBOY.schedule, patience=patience))


@pytest.mark.parametrize("patience", [0, 1, 5])
def test_it_falls_where_pytorchs_falls(patience):
    """Losses that fall ever more slowly, by less and by more than the share of 1e-4 that counts, and never again."""
    rng = np.random.default_rng(patience)
    for _ in range(20):
        losses = [*np.cumprod(1 - rng.exponential(2e-4, 60) * rng.integers(-1, 3, 60)), *[0.99] * 8]

        assert factors(losses, plateau(patience)) == published(losses, plateau(patience))
        assert factors(losses, plateau(patience))[-1] < 1
        assert factors(losses, plateau(patience)) != published(losses, plateau(patience + 1))


def test_it_falls_after_more_bad_validations_than_its_patience():
    losses = [4.0, *[4.0] * 6, 3.0, *[3.0] * 5, 2.9, *[2.9] * 6]

    assert factors(losses, TENSORBOY) == [1.0] * 6 + [0.8] * 13 + [0.8 * 0.8]


@pytest.mark.parametrize(("share", "falls"), [(1 - 0.9e-4, True), (1 - 1.1e-4, False)])
def test_a_loss_that_is_better_by_less_than_a_ten_thousandth_is_not_better(share, falls):
    assert factors([1.0, share], plateau(0)) == [1.0, 0.8 if falls else 1.0]


@pytest.mark.parametrize("law", ["steps", "cosine", "constant"])
def test_other_schedules_keep_their_rate(law):
    recipe = replace(ZC, schedule=replace(ZC.schedule, law=law, patience=1))

    assert factors([1.0] * 20, recipe) == [1.0] * 20
