"""The training commands: options, the loop, checkpoints.  A framework gives `Trainer`, which takes one step."""

import argparse
import math
import signal
import sys
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.command import Command, Stop, command
from shared.errors import Diverged, UserError
from shared.recipe import Recipe, ema_decay, learning_rate, to_dict
from shared.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
LOG_EVERY = 50
_SKIPPED_MOST = 0.01  # of all samples; more is not bad luck but a wrong folder


def command_of(framework: str) -> Command:
    """The command that trains with "torch" or "keras"; nothing of the framework is loaded for --help."""

    def parser() -> argparse.ArgumentParser:
        return _parser(framework)

    @command(parser)
    def main(options: argparse.Namespace) -> int:
        return train(framework, options)

    return main


def _parser(framework: str) -> argparse.ArgumentParser:
    from shared.data.arguments import add_arguments

    title = {"torch": "PyTorch", "keras": "Keras"}[framework]
    p = argparse.ArgumentParser(description=f"Train a network in {title}, on COCO, MPII or the built-in benchmark.")
    p.add_argument("--recipe", default="builtin_small", help="one of " + ", ".join(RECIPES))
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    p.add_argument("--out", type=Path, help="folder for weights, checkpoint and logs; default runs/train-RECIPE-...")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    p.add_argument("--init", type=Path, help="start from a weight file, a VGG-19, or published HRNet, LPN or ResNet")
    data = p.add_argument_group("data")
    add_arguments(data)
    data.add_argument("--val-annotations", type=Path, help="person_keypoints_*.json to validate on")
    data.add_argument("--val-images", type=Path, help="folder of its images")
    data.add_argument("--validate-on", type=int, default=100, metavar="N", help="images of a validation (0: none)")
    p.add_argument("--workers", type=int, default=0, help="processes that make samples; 0: threads of this one")
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--deterministic", action="store_true", help="the same weights on every run, also on a GPU")
    p.add_argument("--save-every", type=int, default=500, metavar="N", help="steps between checkpoints")
    p.add_argument("--log-every", type=int, default=LOG_EVERY, metavar="N", help="steps between log entries")
    return p


@dataclass
class Position:
    """Where a training is: steps done, and what "plateau" remembers of the validations."""

    step: int = 0
    factor: float = 1.0
    best: float = float("inf")
    worse: int = 0
    skipped: int = 0

    def validated(self, loss: float, recipe: Recipe) -> None:
        """Lower the learning rate of a "plateau" schedule after too many validations without a better loss."""
        if loss < self.best * (1 - 1e-4):
            self.best, self.worse = loss, 0
        else:
            self.worse += 1
        if recipe.schedule.law == "plateau" and self.worse > recipe.schedule.patience:
            self.factor, self.worse = self.factor * recipe.schedule.gamma, 0


def train(name: str, options: argparse.Namespace) -> int:
    """Train with a framework ("torch" or "keras"); the exit code."""
    from shared import framework, precision, recipes
    from shared.data import sources
    from shared.initial import from_file, initial
    from shared.samples import pipeline

    _check(options)
    recipe = recipes.recipe(options.recipe, options.set)
    out = options.out or ROOT / "runs" / f"train-{options.recipe}-{name}"
    resumed = _resumable(out, options.resume)
    source, benchmark = sources.training(options, recipe)
    framework.require(name)
    ranks = framework.module(name, "ranks").Ranks(options.device)
    if recipe.batch % (ranks.replicas * recipe.accumulate):
        raise UserError(
            f"recipe: batch {recipe.batch} for {ranks.replicas} devices in {recipe.accumulate} parts; "
            "expected equal pieces, change it with --set batch=N"
        )
    if recipe.schedule.law == "plateau" and benchmark is None:
        raise UserError(
            "recipe: schedule.law plateau follows the loss of validations, and there is nothing to validate on; give "
            "--val-annotations and --val-images, or another law"
        )
    training = framework.module(name, "training")
    if options.deterministic:
        training.deterministic()
    info, arrays = initial(recipe)
    if options.init is not None:
        arrays = from_file(options.init, arrays, info)
    trainer = training.Trainer(info, arrays, recipe, ranks)
    about = _about(name, recipe, source, options.init)
    loop = _Loop(name, trainer, pipeline(source, recipe), benchmark, info, about, out, options)
    loop.begin(resumed)
    if recipe.bf16 and not resumed and ranks.rank == 0:
        advice = precision.advice(partial(training.convolution, ranks))
        if advice:
            print(advice, file=sys.stderr)
    try:
        code = loop.run()
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}; expected a folder with room; go on with --resume"
        ) from None
    ranks.leave()
    return code


def _about(name: str, recipe: Recipe, source: Any, init: Path | None) -> dict[str, Any]:
    """What decides the result of a training: a checkpoint of another one is refused, and the log begins with it."""
    from shared.samples import describe
    from shared.weights import sha256

    start = None if init is None else {"file": init.name, "sha256": sha256(init)}
    return {"framework": name, "recipe": to_dict(recipe), "data": dict(describe(source)), "init": start}


def _check(options: argparse.Namespace) -> None:
    for name, least in (("workers", 0), ("save_every", 1), ("log_every", 1), ("validate_on", 0)):
        if getattr(options, name) < least:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: expected {least} or more")
    if options.device.split(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"--device {options.device}: unknown; use cpu, or cuda on a GPU")


def _resumable(out: Path, resume: bool) -> bool:
    """Whether there is a checkpoint to go on from; a folder that holds another training is refused."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; expected a folder")
    there = (out / CHECKPOINT).exists()
    if there and not resume:
        raise UserError(f"{out}: holds a training; add --resume to go on, or choose another --out")
    if resume and not there:
        print(f"{out}: no checkpoint yet, starting at the beginning", file=sys.stderr)
    return there


class _Loop:
    """Steps, and between them the log, validations and checkpoints."""

    def __init__(
        self, name: str, trainer: Any, pipeline: Any, benchmark: Any, info: Any, about: Mapping[str, Any], out: Path,
        options: argparse.Namespace,
    ) -> None:  # fmt: skip
        self.name, self.trainer, self.pipeline, self.benchmark = name, trainer, pipeline, benchmark
        self.info, self.about, self.out, self.options = info, about, out, options
        self.recipe: Recipe = pipeline.recipe
        self.share = trainer.ranks.share
        self.position = Position()
        self.log: Any = None
        self.recent: dict[str, list[float]] = defaultdict(list)

    def begin(self, resumed: bool) -> None:
        """Go on from the checkpoint in the folder, and insist that all processes begin alike."""
        from shared import checkpoint

        if resumed:
            found = checkpoint.read(self.out / CHECKPOINT, self.about)
            self.position = Position(**found.position)
            self.trainer.set_state(found.state)
        average = self.trainer.ranks.average
        mine = checkpoint.fingerprint(self.position.step, self.trainer.arrays()) if self.share.size > 1 else 0
        if average(float(not math.isclose(average(mine), mine))):
            raise UserError(
                f"--out {self.out}: the processes do not begin alike, this one with step {self.position.step}; "
                "expected one folder on a disk that all of them see, and the same file in --init"
            )

    def run(self) -> int:
        """Train to the last step; 0, or 128 + the number of the signal that ended it."""
        from shared import validation
        from shared.loader import batches

        first = self.position.step
        with ExitStack() as stack:
            if self.share.rank == 0:
                self.log = stack.enter_context(closing(self._open_log(first)))
            supply = stack.enter_context(closing(batches(self.pipeline, first, self.share, self.options.workers)))
            stopped, stop = False, stack.enter_context(Stop())
            for step in range(first, self.recipe.steps):
                self._step(step, next(supply), first)
                stopped = self.trainer.ranks.average(float(stop.signal > 0)) > 0  # of any process
                if stopped:
                    break
            self._save()
        if stopped:
            print(f"stopped at step {self.position.step}; go on with --resume", file=sys.stderr)
            return 128 + (stop.signal or signal.SIGTERM)
        if self.share.rank == 0:
            weights = self.out / WEIGHTS
            print(f"{weights}; evaluate it: {validation.command(self.name, weights, self.info.spec, self.options)}")
        return 0

    def _open_log(self, first: int) -> Any:
        from shared.trainlog import Log

        try:
            self.out.mkdir(parents=True, exist_ok=True)
            return Log(self.out, self.about, self.recipe.steps, first)
        except OSError as error:
            raise UserError(f"{self.out}: {error.strerror}; expected a folder that can be written") from None

    def _step(self, step: int, batch: Any, first: int) -> None:
        from shared import trainlog

        rate = learning_rate(self.recipe, step) * self.position.factor
        losses = self.trainer.step(batch, rate, ema_decay(self.recipe, step))
        if not np.isfinite(list(losses.values())).all():
            raise trainlog.broken(self.out, step, self.share.rank, batch, losses)
        self.position.step = done = step + 1
        try:
            self._after(done, batch, losses, rate, (done - first) * self.recipe.batch)
        except Diverged:
            raise
        except UserError:
            self._save()  # what was learnt is not lost with a picture that cannot be read
            raise
        if done % self.options.save_every == 0:
            self._save()

    def _after(self, done: int, batch: Any, losses: Mapping[str, float], rate: float, images: int) -> None:
        """What a step is followed by; `images` is how many this run has seen."""
        self._count(done, batch)
        for name, value in losses.items():
            self.recent[name].append(value)
        last = done == self.recipe.steps
        if self.log and (done % self.options.log_every == 0 or last):
            means = {name: float(np.mean(values)) for name, values in self.recent.items()}
            self.log.step(done, means, rate, images)
            self.recent.clear()
        if done % self.recipe.validate == 0 or last:
            self._validate()

    def _count(self, done: int, batch: Any) -> None:
        """Skipped samples are told, and too many of them stop the training."""
        from shared import trainlog

        self.position.skipped += len(batch.skipped)
        if batch.skipped and self.log:
            self.log.skipped(done, batch.skipped)
        elif batch.skipped:
            trainlog.skipped(self.out, self.share.rank, done, batch.skipped)
        seen = done * self.recipe.batch // self.share.size
        if batch.skipped and self.position.skipped > max(10, _SKIPPED_MOST * seen):
            raise UserError(
                f"{self.position.skipped} of {seen} samples could not be read, the last: {batch.skipped[-1]}; "
                "expected at most 1 %; look at the folder of the images"
            )

    def _validate(self) -> None:
        from shared import validation

        arrays = self.trainer.arrays()
        if self.benchmark is not None:
            numbers = {"loss": validation.loss(self.trainer, self.benchmark.source, self.recipe)}
            self.position.validated(numbers["loss"], self.recipe)
            if self.log and self.benchmark.dataset is not None:
                found = self.benchmark
                numbers |= validation.precision(self.name, arrays, self.info, found.dataset, found.read)
            if self.log:
                self.log.validation(self.position.step, numbers)
        if self.share.rank == 0:
            from shared.weights import write

            write(self.out / WEIGHTS, *validation.folded(arrays, self.info))
        self.trainer.ranks.wait()

    def _save(self) -> None:
        from shared import checkpoint

        state = self.trainer.state()
        if self.share.rank == 0:
            found = checkpoint.Checkpoint(self.about, vars(self.position), state)
            checkpoint.write(self.out / CHECKPOINT, found)
