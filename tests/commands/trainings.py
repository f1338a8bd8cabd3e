"""Trainings by the command, in processes of their own: alone, two together, or killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {"torch": "pytorch_impl/train.py", "keras": "keras_impl/train.py"}
both = pytest.mark.parametrize("name", COMMANDS)


def options(recipe: str, values: Sequence[str], out: Path, *more: str, **changes: object) -> list[str]:
    """Of a training without validation that logs every step; `changes` are values, too, with __ for a dot."""
    settings = [*values, *(f"{key.replace('__', '.')}={value}" for key, value in changes.items())]
    sets = [part for value in settings for part in ("--set", value)]
    return ["--recipe", recipe, *sets, "--validate-on", "0", "--log-every", "1", "--out", str(out), *more]


def command(name: str, *arguments: str) -> list[str]:
    """The training command of a framework."""
    return [sys.executable, COMMANDS[name], *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **more}


def run(command: list[str], **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=600)


def finished(command: list[str], **more: str) -> None:
    done = run(command, **more)
    assert done.returncode == 0, done.stderr[-2000:]


def in_two_processes(name: str, command: list[str]) -> None:
    if name == "torch":
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        finished([*launcher, *command[1:]])
        return
    addresses = [f"localhost:{port}" for port in _free_ports(2)]
    processes = []
    for index in (0, 1):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(TF_CONFIG=json.dumps(config)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said[-2000:]


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def killed(command: list[str], out: Path) -> None:
    """Run it until some time after its first checkpoint, and kill it."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: (out / "checkpoint.safetensors").exists() or process.poll() is not None)
    time.sleep(0.02 * np.random.default_rng().integers(10))
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def eagerly(name: str) -> Iterator[None]:
    """Keras in this process without graphs: to make one takes longer than a few steps."""
    if name != "keras":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def until(condition, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def log(out: Path) -> list[dict]:
    """The entries after the first line, which says what is trained."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()[1:]]


def losses(out: Path) -> list[float]:
    return [entry["loss"] for entry in log(out) if "loss" in entry]
