"""What the two training commands share: arguments, the log, and the weight file at the end."""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from shared.arch import catalogue
from shared.arch.rows import fold_norms
from shared.errors import unknown
from shared.recipe import RECIPES, Recipe
from shared.weights import Arrays, ModelInfo, write


def parser(framework: str) -> argparse.ArgumentParser:
    """The arguments of a training command."""
    parser = argparse.ArgumentParser(description=f"Train OpenPose on the built-in benchmark in {framework}.")
    parser.add_argument("--recipe", default="builtin_small", help="one of " + ", ".join(RECIPES))
    parser.add_argument("--out", type=Path, required=True, help="folder for weights.safetensors and log.jsonl")
    parser.add_argument("--steps", type=int, help="other than the recipe's number")
    parser.add_argument("--batch", type=int, help="other than the recipe's number")
    return parser


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The named recipe with the changes that were asked for."""
    if options.recipe not in RECIPES:
        raise unknown("--recipe", options.recipe, RECIPES)
    changes = {key: getattr(options, key) for key in ("steps", "batch") if getattr(options, key) is not None}
    return replace(RECIPES[options.recipe], **changes)


def initial(recipe: Recipe) -> tuple[ModelInfo, Arrays]:
    """The untrained network, equal in both frameworks: He's normal weights, zero biases, norms that do nothing.

    The last layer of each branch starts at a tenth of that, so that the first predictions are near zero.
    """
    spec = catalogue.spec(recipe.model, width=recipe.width, stages=recipe.stages, norm=recipe.norm)
    rng = np.random.Generator(np.random.Philox(recipe.seed))
    last = {f"{name}.weight" for name in spec.stage_outputs()}
    arrays = {}
    for name, shape in spec.tensors().items():
        if len(shape) == 4:
            deviation = np.sqrt(2 / np.prod(shape[1:])) * (0.1 if name in last else 1)
            arrays[name] = (rng.standard_normal(shape) * deviation).astype(np.float32)
        else:
            one = name.endswith(("_bn.weight", "_bn.running_var"))
            arrays[name] = np.full(shape, 1 if one else 0, np.float32)
    info = ModelInfo(spec, recipe.preprocess, source="trained by this project", licence="this project")
    return info, arrays


class Log:
    """One JSON line per entry in `log.jsonl`, progress on stderr."""

    def __init__(self, out: Path, recipe: Recipe, framework: str) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file = (out / "log.jsonl").open("w")
        self.start = time.monotonic()
        self.total = recipe.steps
        self.batch = recipe.batch
        self._line({"framework": framework, "recipe": asdict(recipe)})

    def _line(self, entry: Mapping[str, object]) -> None:
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    def step(self, step: int, loss: float, lr: float) -> None:
        seconds = time.monotonic() - self.start
        rate = step * self.batch / seconds
        left = (self.total - step) * self.batch / max(rate, 1e-9)
        self._line({"step": step, "loss": loss, "lr": lr, "seconds": round(seconds, 1)})
        text = f"step {step}/{self.total}  loss {loss:.2f}  {rate:.1f} images/s  {left / 60:.1f} min left"
        print(text, file=sys.stderr, flush=True)


def save(out: Path, arrays: Arrays, info: ModelInfo) -> None:
    """Write `weights.safetensors`: the network with its norms folded, as it is used."""
    folded = fold_norms(arrays, info.spec.rows())
    write(out / "weights.safetensors", folded, replace(info, spec=replace(info.spec, norm=False)))
