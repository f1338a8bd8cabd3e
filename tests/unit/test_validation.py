"""The loss of a validation against a direct computation: a network of zeros, whose maps are its last biases."""

import shlex
from argparse import Namespace
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from eval.cli import main
from shared import framework, validation
from shared.arch import catalogue
from shared.initial import initial
from shared.recipes import MODERN
from shared.samples import Pipeline
from shared.weights import Arrays
from tests.unit.drawn import Drawn

SAME = 1e-5  # relative; of float32 sums of some thousand terms
FRAMEWORKS = ("torch", "keras")
RECIPE = replace(
    MODERN, width=1 / 64, stages=2, norm=False, bf16=False, batch=4, accumulate=2, loss="euclidean",
    augment=replace(MODERN.augment, crop=128),
)  # fmt: skip
SOURCE = Drawn(5)  # two whole parts of a batch and one picture more; with masks and without, of 0, 1 and 2 people


def start(seed: int = 0) -> Arrays:
    """All zero but the biases of the last layer of every branch."""
    rng, spec = np.random.default_rng(seed), RECIPE.spec
    last = {f"{name}.bias" for name in spec.stage_outputs()}
    draw = {name: rng.uniform(-1, 1, shape) for name, shape in spec.tensors().items() if name in last}
    return {name: np.float32(draw.get(name, np.zeros(shape))) for name, shape in spec.tensors().items()}


@pytest.mark.parametrize(
    ("model", "options", "wanted"),
    [
        ("coco18", {}, {"data": "builtin", "boxes": None}),
        ("pose_hrnet_w32", {}, {"data": "builtin", "boxes": "gt"}),
        ("lpn_50", {"data": "packed"}, {"data": "coco", "boxes": "gt", "images": Path("FOLDER")}),
        (
            "coco18",
            {"data": "coco", "val_annotations": "my val.json", "val_images": "val"},
            {"data": "coco", "boxes": None, "annotations": Path("my val.json"), "images": Path("val")},
        ),
        ("lpn_50", {"data": "mpii"}, {"data": "mpii", "boxes": None, "annotations": Path("FILE")}),
    ],
)
def test_the_command_that_a_training_ends_with_is_one_of_the_evaluation(model, options, wanted):
    given = {"data": "builtin", "val_annotations": None, "val_images": None, **options}

    said = validation.command("keras", Path("a b.safetensors"), catalogue.spec(model), Namespace(**given))

    python, script, *arguments = shlex.split(said)
    found = vars(main.parser().parse_args(arguments))
    wanted = {**wanted, "framework": "keras", "weights": Path("a b.safetensors"), "decoder": None}
    assert (python, script) == ("python", "eval/run.py")
    assert {name: found[name] for name in wanted} == wanted


@cache
def trainer(name):
    ranks = framework.module(name, "ranks").Ranks()
    return framework.module(name, "training").Trainer(initial(RECIPE)[0], start(), RECIPE, ranks)


def direct(arrays: Arrays, n: int = 4, masked: bool = True) -> float:
    """The sum over branches of the sum of (mask * (bias - target))^2 / 2: the mean over the first `n` pictures."""
    samples, totals = Pipeline(SOURCE, RECIPE), []
    for sample in map(samples.plain, range(n)):
        mask = sample.mask.astype(np.float64) if masked else 1
        for name, field in RECIPE.spec.stage_outputs().items():
            totals.append(
                (((arrays[f"{name}.bias"] - getattr(sample, field).astype(np.float64)) * mask) ** 2).sum() / 2
            )
    return sum(totals) / n


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_loss_is_the_mean_over_whole_batches_of_the_sum_over_branches(name):
    found = validation.loss(trainer(name), SOURCE, RECIPE)

    assert found == pytest.approx(direct(start()), rel=SAME)
    assert validation.loss(trainer(name), SOURCE, RECIPE) == found  # nothing is augmented


def test_other_biases_no_mask_and_another_number_of_pictures_would_be_seen():
    wanted = direct(start())
    others = [direct(start(1)), direct(start(), masked=False), direct(start(), 5), direct(start(), 2)]

    assert all(abs(other - wanted) > 10 * SAME * wanted for other in others)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_loss_is_that_of_the_averaged_weights_and_leaves_the_others_alone(name):
    made = trainer(name)
    before = {key: value.copy() for key, value in made.state().items()}
    average = {key: value for key, value in start(1).items() if value.any()}  # biases: alike in both frameworks
    given = {**before, **{f"average/{key}": value for key, value in average.items()}}

    made.set_state(given)
    found = validation.loss(made, SOURCE, RECIPE)
    after = {key: value.copy() for key, value in made.state().items()}
    made.set_state(before)

    assert found == pytest.approx(direct(start(1)), rel=SAME)
    assert all(np.array_equal(after[key], given[key]) for key in given)
