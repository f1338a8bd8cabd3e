"""How a network is run: presets, networks stopped after some stages, and memory that is kept."""

import subprocess
import sys

import numpy as np
import pytest

from shared import weights
from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.net import Preset
from shared.weights import ModelInfo


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"precision": "float16"}, "--precision float16: unknown .* choose one of float32, bfloat16"),
        ({"precision": "int8"}, "int8 is a file for onnx and openvino; write one with"),
        ({"threads": 0}, "--threads 0: expected 1 or more"),
        ({"stages": -1}, "--stages -1: expected 1 or more"),
    ],
)
def test_a_preset_that_nothing_can_run_is_refused(values, match):
    with pytest.raises(UserError, match=match):
        Preset(**values)


def test_a_runtime_is_named_with_what_was_asked_of_it():
    assert Preset(threads=3).named("torch 1") == "torch 1"
    assert Preset("bfloat16", 3, True).named("torch 1") == "torch 1, bfloat16, compiled, stopped after stage 3"


@pytest.mark.parametrize(
    ("name", "stages"), [("coco18", 1), ("mpi15", 3), ("mpi15_4stages", 2), ("body25", 5), ("hand21", 4)]
)
def test_a_network_that_stops_early_has_the_first_of_the_same_tensors_and_every_field(name, stages):
    whole = catalogue.spec(name)
    part = catalogue.cut(whole, stages)

    outputs = list(whole.stage_outputs().items())
    assert list(part.stage_outputs().items()) == outputs[: len(part.stage_outputs())]
    assert 0 < len(part.stage_outputs()) < len(outputs)
    assert part.tensors().items() < whole.tensors().items()
    assert catalogue.final_outputs(part).keys() == whole.channels.keys()
    assert catalogue.from_dict(catalogue.to_dict(part)) == part


@pytest.mark.parametrize("stages", [None, 6])
def test_all_stages_are_the_network_itself(stages):
    assert catalogue.cut(catalogue.spec("coco18"), stages) == catalogue.spec("coco18")


@pytest.mark.parametrize(
    ("name", "stages", "match"),
    [
        ("coco18", 7, "--stages 7: coco18 has 6 here; expected 1 to 6"),
        ("body25", 4, "4 stages; expected 5 or 6, since the first four give no heatmaps"),
        ("mobilenet_v2_small", 3, "mobilenet_v2_small always runs its 6"),
    ],
)
def test_stages_that_a_network_cannot_stop_after_are_refused(name, stages, match):
    with pytest.raises(UserError, match=match):
        catalogue.cut(catalogue.spec(name), stages)


@pytest.fixture
def file(tmp_path):
    """A network of three stages, each array filled with its number."""
    spec = catalogue.spec("coco18", width=1 / 64, stages=3)
    arrays = {name: np.full(shape, i, np.float32) for i, (name, shape) in enumerate(spec.tensors().items())}
    weights.write(tmp_path / "w.safetensors", arrays, ModelInfo(spec))
    return tmp_path / "w.safetensors", arrays


def test_only_the_weights_of_the_first_stages_are_read(file):
    path, arrays = file

    found, info = weights.read(path, 2)

    assert info.spec == catalogue.spec("coco18", width=1 / 64, stages=2)
    assert list(found) == list(info.spec.tensors())
    assert not any("stage3" in name for name in found)
    for name, array in found.items():
        np.testing.assert_array_equal(array, arrays[name])
    also, same = weights.first_stages(arrays, ModelInfo(catalogue.spec("coco18", width=1 / 64, stages=3)), 2)
    assert (list(also), same.spec) == (list(found), info.spec)


def test_what_is_not_read_is_checked_all_the_same(file, monkeypatch):
    whole = catalogue.spec("coco18", width=1 / 64, stages=3)
    names = {name: shape for name, shape in whole.tensors().items() if name != "Mconv1_stage3_L1.bias"}
    monkeypatch.setattr(type(whole), "tensors", lambda spec: names)

    with pytest.raises(WeightError, match=r"left over Mconv1_stage3_L1\.bias"):
        weights.read(file[0], 2)


FAULTS = """
import resource
import numpy as np
from shared.memory import keep_freed
if {keep}:
    keep_freed()
np.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    run = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="is about the C library of Linux")
def test_memory_that_is_kept_is_not_asked_for_again():
    assert faults(keep=True) < 100
    assert faults(keep=False) > 100  # of up to 20,000 pages of 4 KB, fewer where pages are huge
