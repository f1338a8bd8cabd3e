"""The training commands: killed and resumed, alone and in several processes, and what they say to bad input."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from shared.weights import read
from tests.commands.trainings import (
    COMMANDS,
    ROOT,
    both,
    command,
    environment,
    finished,
    in_two_processes,
    killed,
    losses,
    options,
    run,
    until,
)  # fmt: skip

TINY = [
    "width=0.0625", "stages=2", "init=he", "samples=image", "masks=paper", "neck=paper", "batch=4", "steps=6",
    "augment=modern", "augment.crop=64", "optimizer.groups=modern", "schedule.base=1e-5",
]  # fmt: skip


def arguments(name: str, out: Path, *more: str, **changes: object) -> list[str]:
    return command(name, *options("zc", TINY, out, *more, **changes))


def largest_difference(a: Path, b: Path) -> float:
    """Of two weight files, as a share of each tensor's largest value."""
    ours, theirs = load_file(a / "weights.safetensors"), load_file(b / "weights.safetensors")
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[k] - theirs[k]).max() / max(np.abs(ours[k]).max(), 1e-9)) for k in ours)


@pytest.fixture(scope="module", params=COMMANDS)
def whole(request, tmp_path_factory) -> tuple[str, Path]:
    """A training of six steps in one go: the framework and the folder."""
    out = tmp_path_factory.mktemp(request.param) / "whole"
    finished(arguments(request.param, out))
    return request.param, out


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights_bit_for_bit(whole, tmp_path):
    name, out = whole
    stopped = tmp_path / "killed"
    started = arguments(name, stopped, "--save-every", "2")
    killed(started, stopped)

    finished([*started, "--resume"])

    for file in ("weights.safetensors", "checkpoint.safetensors"):
        assert (stopped / file).read_bytes() == (out / file).read_bytes()
    assert losses(stopped) == losses(out)


@pytest.mark.slow
def test_a_stopped_training_leaves_a_checkpoint_of_its_last_step(whole, tmp_path):
    name, out = whole
    stopped = tmp_path / "stopped"
    started = arguments(name, stopped)
    process = subprocess.Popen(started, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: (stopped / "log.jsonl").exists() and len((stopped / "log.jsonl").read_text().splitlines()) > 2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()

    assert process.returncode in (128 + signal.SIGTERM, 0), said[-2000:]
    assert (stopped / "checkpoint.safetensors").exists()
    finished([*started, "--resume"])
    assert (stopped / "weights.safetensors").read_bytes() == (out / "weights.safetensors").read_bytes()


@pytest.mark.slow
@both
def test_two_processes_with_half_the_batch_are_one_with_the_whole(name, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    finished(arguments(name, alone))

    in_two_processes(name, arguments(name, together))

    np.testing.assert_allclose(losses(together), losses(alone), rtol=1e-5)
    assert largest_difference(alone, together) <= 1e-5


@pytest.mark.slow
@both
def test_norms_are_over_the_samples_of_both_processes(name, tmp_path):
    """The first two losses: norms enlarge float32's rounding with every step that follows."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    finished(arguments(name, alone, norm="true", steps=2))

    in_two_processes(name, arguments(name, together, norm="true", steps=2))

    np.testing.assert_allclose(losses(together), losses(alone), rtol=1e-5)


@pytest.mark.slow
@both
def test_a_family_without_norms_trains_and_is_saved(name, tmp_path):
    changes = {"model": "coco18_dense", "stages": "none", "optimizer__groups": "hliu", "steps": 2}
    finished(arguments(name, tmp_path, **changes))

    assert read(tmp_path / "weights.safetensors")[1].spec.name == "coco18_dense"
    refused = run(arguments(name, tmp_path / "norm", **changes, norm="true"))
    assert refused.returncode == 2
    assert "norm is fixed at False" in refused.stderr


# Two devices in one process: TensorFlow must know of them before anything else, hence a process of its own.
MIRRORED = """
import json
from dataclasses import replace
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_impl.ranks import Ranks
from keras_impl.training import Trainer
from shared.data.builtin import Builtin
from shared.initial import initial
from shared.recipes import ZC
from shared.samples import Pipeline
recipe = replace(ZC, width=1 / 16, stages=2, init="he", batch=4, ema=0.9, augment=replace(ZC.augment, crop=64))
batches = [Pipeline(Builtin(), recipe).batch(range(4 * step, 4 * step + 4)) for step in range(4)]
found = {}
for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    ranks = Ranks()
    ranks.strategy = strategy or ranks.strategy
    trainer = Trainer(*initial(recipe), recipe, ranks)
    losses = [sum(trainer.step(batch, 1e-5, 0.5).values()) for batch in batches]
    found[ranks.replicas] = [*losses, sum(trainer.losses(batches[0]).values())]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_of_one_process_are_one_with_the_whole_batch_in_keras():
    done = run([sys.executable, "-c", MIRRORED])

    found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr[-2000:]
    assert list(found) == ["1", "2"], found
    np.testing.assert_allclose(found["2"], found["1"], rtol=1e-5)


@pytest.mark.slow
def test_another_batch_gives_other_weights(whole, tmp_path):
    name, out = whole
    finished(arguments(name, tmp_path / "other", seed=1))

    assert largest_difference(out, tmp_path / "other") > 1e-2


@pytest.mark.slow
def test_processes_and_threads_make_the_same_batches(whole, tmp_path):
    name, out = whole
    finished(arguments(name, tmp_path / "workers", "--workers", "2"))

    assert (tmp_path / "workers/weights.safetensors").read_bytes() == (out / "weights.safetensors").read_bytes()
