"""The evaluation as a function, over scenes that are drawn once."""

import pytest

from eval import data
from eval.cli import main
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
