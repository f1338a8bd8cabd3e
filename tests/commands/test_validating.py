"""A validation in a training says what eval/run.py says of the weights that it writes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from eval import data
from eval.cli import main
from shared import validation
from shared.arch.rows import NORM_EPSILON, Conv
from shared.weights import SHIPPED, read
from tests.commands import trainings

pytestmark = pytest.mark.slow

NUMBERS = ("AP", "AP50", "AP75")


@pytest.fixture
def scenes(coco):
    """Three drawn scenes as eval/run.py reads them."""
    return data.from_files(coco[3], coco[5])


def evaluated(tmp_path, coco, *options):
    """The numbers of eval/run.py for the three scenes."""
    assert main([*map(str, (*coco, *options)), "--out", str(tmp_path / "evaluated")]) == 0
    numbers = json.loads((tmp_path / "evaluated/metrics.json").read_text())["numbers"]
    return {name: numbers[name] for name in NUMBERS}


@trainings.both
def test_the_precision_of_a_network_is_that_of_eval_run(name, tmp_path, coco, scenes):
    arrays, info = read(SHIPPED)

    found = validation.precision(name, arrays, info, scenes.dataset, scenes.read)

    assert found == evaluated(tmp_path, coco, "--framework", name)
    assert 0.3 < found["AP"] < 1


@pytest.mark.parametrize("option", [("--height", 184), ("--flip",), ("--decoder", "reference")], ids=lambda o: o[0][2:])
def test_another_protocol_would_be_seen(option, tmp_path, coco, scenes):
    found = validation.precision("torch", *read(SHIPPED), scenes.dataset, scenes.read)

    assert found != evaluated(tmp_path, coco, *option)


def with_norms(arrays, spec):
    """The weights of the same network with norms: kernels four times, which the norms halve twice."""
    found = {name: np.zeros(shape, np.float32) for name, shape in spec.tensors().items()} | arrays
    for row in spec.rows():
        if isinstance(row, Conv) and row.norm:
            found[f"{row.name}.weight"] = 4 * arrays[f"{row.name}.weight"]
            found[f"{row.name}.bias"] = 4 * arrays[f"{row.name}.bias"] + 1
            found[f"{row.norm_name}.running_mean"] += 1
            found[f"{row.norm_name}.running_var"] += np.float32(4 - NORM_EPSILON)
            found[f"{row.norm_name}.weight"] += np.float32(0.5)
    return found


def test_a_network_with_norms_is_judged_as_it_is_used(scenes):
    arrays, info = read(SHIPPED)
    learning = replace(info, spec=replace(info.spec, norm=True))
    given = with_norms(arrays, learning.spec)

    found = validation.precision("torch", given, learning, scenes.dataset, scenes.read)

    assert found == pytest.approx(validation.precision("torch", arrays, info, scenes.dataset, scenes.read), abs=1e-6)
    ignored = {name: given[name] for name in arrays}
    assert validation.precision("torch", ignored, info, scenes.dataset, scenes.read) != pytest.approx(found, abs=0.01)


MODERN = [
    "norm=true", "bf16=true", "ema=0.5", "width=0.25", "stages=3", "batch=2", "steps=3", "augment.crop=128",
    "schedule.base=1e-4", "schedule.warmup=0",
]  # fmt: skip


def test_the_log_of_a_training_has_the_precision_of_the_weights_that_it_writes(train, tmp_path, coco, scenes):
    """Of averaged weights with norms, learnt in bfloat16 and judged in float32."""
    val = ("--val-annotations", coco[3], "--val-images", coco[5], "--validate-on", 3)

    found = train(*val, "--init", SHIPPED, recipe="builtin_small", values=MODERN)

    assert found.code == 0, found.said
    (numbers,) = [entry["validation"] for entry in trainings.log(found.out) if "validation" in entry]
    wanted = evaluated(tmp_path, coco, "--weights", found.out / "weights.safetensors")
    assert {key: numbers[key] for key in NUMBERS} == {key: round(value, 4) for key, value in wanted.items()}
    assert wanted["AP"] > 0.5
    assert wanted != validation.precision("torch", *read(SHIPPED), scenes.dataset, scenes.read)
