"""The commands as functions: the evaluation, over scenes that are drawn once, and trainings of a tiny network."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from eval import data
from eval.cli import main
from shared import weights
from shared.initial import initial
from shared.recipes import recipe
from shared.scenes import dataset
from shared.training import command_of
from tests.commands import trainings

TINY = [
    "width=0.03125", "stages=1", "init=he", "samples=image", "masks=paper", "neck=paper", "batch=2", "steps=2",
    "augment=modern", "augment.crop=64", "optimizer.groups=modern", "schedule.base=1e-5",
]  # fmt: skip


@pytest.fixture(scope="session")
def benchmark():
    """The built-in benchmark, drawn once."""
    return data.builtin()


@pytest.fixture
def evaluate(tmp_path, monkeypatch, benchmark):
    """A function that runs the command into tmp_path/out and gives its exit code."""
    monkeypatch.setattr(data, "builtin", lambda: benchmark)

    def run(*arguments):
        return main([*map(str, arguments), "--out", str(tmp_path / "out")])

    return run


@pytest.fixture(scope="session")
def coco(tmp_path_factory):
    """Three drawn scenes as COCO files: the options that name them."""
    folder = tmp_path_factory.mktemp("coco")
    annotations = dataset.write(folder, "val", count=3)
    return ("--data", "coco", "--annotations", annotations, "--images", folder / "images")


@pytest.fixture(scope="session")
def nets(tmp_path_factory):
    """Weight files of untrained networks, an eighth as wide as w18 v1, for COCO's and for MPII's keypoints."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("coco17", "mpii16"):
        info, arrays = initial(recipe("hrnet_builtin", ["width=0.125", "size=64,64", f"skeleton={name}"]))
        weights.write(folder / f"{name}.safetensors", arrays, info)
    return folder


@dataclass(frozen=True)
class Trained:
    """The end of a training: its exit code, its folder, and what it said."""

    code: int
    out: Path
    said: str

    @property
    def weights(self) -> bytes:
        assert self.code == 0, self.said
        return (self.out / "weights.safetensors").read_bytes()


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """A function that trains a tiny network by the command, in this process, into a folder of tmp_path."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))

    def run(*more, name="torch", out="trained", recipe="zc", values=TINY, **changes):
        arguments = trainings.options(recipe, values, tmp_path / out, *map(str, more), **changes)
        return Trained(command_of(name)(arguments), tmp_path / out, capsys.readouterr().err)

    return run
