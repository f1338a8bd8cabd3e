"""Nothing imports a framework that is not used: what is loaded after each command's --help, and after a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import startup
from shared.scenes import dataset
from tests.test_house import LAUNCHERS, relative

ROOT = Path(__file__).parents[1]
ONNX = ROOT.parent / "shared" / "data" / "mobilenet_v2_small.nchw.onnx"
HEAVY = {"torch", "tensorflow", "keras", "numba", "onnxruntime", "openvino", "onnx", "matplotlib"}
RUN = """
import runpy, sys
names, (first, *others) = sys.argv[1].split(","), sys.argv[2:]
try:
    if first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
import json
print(json.dumps([name for name in names if name in sys.modules]))
"""


def loaded(*arguments):
    """Which of HEAVY are imported when a command has ended, as `python ARGUMENTS` would start it."""
    command = [sys.executable, "-c", RUN, ",".join(sorted(HEAVY)), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("command", startup.COMMANDS)
def test_help_imports_no_framework(command):
    assert loaded(*command.split(), "--help") == set()


def test_every_launcher_is_one_of_the_commands():
    assert {relative(path) for path in LAUNCHERS} <= set(startup.COMMANDS)


def test_an_import_is_seen(tmp_path):
    (tmp_path / "guilty.py").write_text("import onnx\nprint('done')\n")

    assert loaded(tmp_path / "guilty.py") == {"onnx"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The options of an evaluation of one small picture, into a new folder each time."""
    folder = tmp_path_factory.mktemp("startup")
    annotations = dataset.write(folder, "val", count=1)
    common = ("--data", "coco", "--annotations", annotations, "--images", folder / "images", "--height", "64")
    return lambda name: (*common, "--out", folder / name)


@pytest.mark.slow
def test_an_evaluation_by_torch_loads_no_other_framework(files):
    assert loaded("eval/run.py", "--framework", "torch", *files("torch")) - {"numba"} == {"torch"}


@pytest.mark.slow
def test_an_evaluation_by_keras_loads_no_other_framework(files):
    """Keras itself imports matplotlib where it is installed."""
    found = loaded("eval/run.py", "--framework", "keras", *files("keras"))

    assert found - {"numba", "matplotlib"} == {"keras", "tensorflow"}


def test_an_evaluation_by_onnx_runtime_loads_no_framework(files):
    if not ONNX.is_file():
        pytest.skip(f"no {ONNX}: a user has no such file")
    weights = ("--weights", ONNX, "--model", "mobilenet_v2_small")

    assert loaded("eval/run.py", "--framework", "onnx", *weights, *files("onnx")) - {"numba"} == {"onnxruntime"}
