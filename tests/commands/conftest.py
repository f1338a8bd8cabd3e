"""The evaluation as a function, over scenes that are drawn once."""

import pytest

from eval import data
from eval.cli import main
from shared import weights
from shared.initial import initial
from shared.recipes import recipe
from shared.scenes import dataset


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
