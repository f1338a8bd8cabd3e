"""What options of the training commands do: --deterministic, --init, schedules that follow the validations."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from pytorch_impl.training import Trainer
from shared import precision
from shared.arch.rows import tensors, vgg
from shared.data import sources
from shared.weights import read
from tests.commands import trainings
from tests.unit.drawn import Drawn

pytestmark = pytest.mark.slow


def deterministic(name):
    """Whether a framework takes only algorithms whose result does not depend on timing."""
    if name == "torch":
        import torch

        return torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
    from tensorflow.python.framework import config

    return config.is_op_determinism_enabled()


@pytest.fixture
def switched_off(name):
    """The framework's switch is off again after the test."""
    yield
    if name == "torch":
        import torch

        torch.use_deterministic_algorithms(False)
    else:
        from tensorflow.python.framework import config

        config.disable_op_determinism()


@trainings.both
def test_a_deterministic_training_gives_the_same_weights_again(train, switched_off, name):
    assert not deterministic(name)
    first = train("--deterministic", name=name, out="first")
    assert deterministic(name)
    second, other = (train("--deterministic", name=name, out=f"of seed {seed}", seed=seed) for seed in (0, 1))

    assert second.weights == first.weights
    assert other.weights != first.weights


def test_without_the_option_the_switch_stays_off(train):
    assert train(steps=1).weights

    assert not deterministic("torch")


PLATEAU = {"schedule__law": "plateau", "schedule__gamma": 0.5, "schedule__patience": 1, "steps": 7, "validate": 1}


def rates(out):
    return [entry["rate"] for entry in trainings.log(out) if "rate" in entry]


def test_a_rate_falls_after_a_plateau_of_validations_also_when_it_was_stopped_in_one(train, monkeypatch):
    """At a rate of nothing no validation is better than the first: two bad ones are one more than its patience."""
    options = ("--validate-on", 1, "--save-every", 1)
    whole = train(*options, **PLATEAU, schedule__base=1e-30)
    step, calls = Trainer.step, iter(range(4))

    def stopping(*arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopping)
        assert train(*options, **PLATEAU, schedule__base=1e-30, out="stopped").code == 130
    stopped = train(*options, "--resume", **PLATEAU, schedule__base=1e-30, out="stopped")

    assert rates(whole.out) == [1e-30] * 3 + [5e-31] * 2 + [2.5e-31] * 2
    assert rates(stopped.out) == rates(whole.out)
    assert position(stopped.out) == position(whole.out)
    assert position(whole.out)["factor"] == 0.125


def position(out):
    with safe_open(out / "checkpoint.safetensors", "np") as file:
        ((_, text),) = file.metadata().items()
    return json.loads(text)["position"]


def test_other_schedules_do_not_follow_the_validations(train):
    found = train("--validate-on", 1, **{**PLATEAU, "schedule__law": "constant", "steps": 4}, schedule__base=1e-30)

    assert rates(found.out) == [1e-30] * 4


@pytest.fixture
def noise(monkeypatch):
    """A function that says how many pictures there are and which are broken; steps of the network take no time."""
    monkeypatch.setattr(Trainer, "step", lambda *_: {"a": 1.0})
    monkeypatch.setattr(Drawn, "identity", lambda self: {"name": "drawn"})  # a mended folder is the same one

    def given(count, broken=(7,)):
        monkeypatch.setattr(sources, "training", lambda *_: (Drawn(count, broken), None))

    return given


def skipped(out):
    return [entry["skipped"] for entry in trainings.log(out) if "skipped" in entry]


def test_more_than_one_broken_picture_in_a_hundred_stops_the_training(train, noise):
    noise(80)
    stopped = train(batch=50, steps=30)

    assert stopped.code == 2
    line = stopped.said.splitlines()[-1]
    assert line.startswith(("error: 11 of 850 samples", "error: 11 of 900 samples"))
    assert "could not be read, the last: picture 7: cut off; expected at most 1 %" in line
    assert skipped(stopped.out) == ["picture 7: cut off"] * 11


@pytest.mark.parametrize(("count", "steps"), [(125, 30), (80, 16)], ids=["below 1 %", "the first ten"])
def test_fewer_broken_pictures_are_told_and_do_not_stop_the_training(train, noise, count, steps):
    noise(count)
    found = train(batch=50, steps=steps)

    assert found.weights
    assert skipped(found.out) == ["picture 7: cut off"] * (50 * steps // count)


def test_a_training_that_was_stopped_by_broken_pictures_goes_on_when_they_are_whole(train, noise):
    noise(80)
    assert train(batch=50, steps=20).code == 2
    noise(80, broken=())

    found = train("--resume", batch=50, steps=20)

    assert found.code == 0, found.said
    assert position(found.out)["step"] == 20


@pytest.fixture
def torchvisions(tmp_path):
    """A VGG-19 of torchvision's names and numbers: the path, and its first kernels, which read red, green, blue."""
    import torch

    rng = np.random.default_rng(0)
    shapes = tensors(vgg(1.0))
    places = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21)
    names = [f"features.{place}.{kind}" for place in places for kind in ("weight", "bias")]
    arrays = [rng.standard_normal(shape, np.float32) / 50 for shape in shapes.values()]
    torch.save(dict(zip(names, map(torch.from_numpy, arrays), strict=True)), tmp_path / "vgg19.pth")
    return tmp_path / "vgg19.pth", dict(zip(shapes, arrays, strict=True))


def test_a_training_starts_from_a_vgg_19(train, torchvisions):
    path, wanted = torchvisions
    found = train("--init", path, width=1, steps=1, schedule__base=1e-30)

    arrays, info = read(found.out / "weights.safetensors")
    assert info.preprocess.order == "bgr"
    assert np.array_equal(arrays.pop("conv1_1.weight")[:, ::-1], wanted.pop("conv1_1.weight"))
    assert all(np.array_equal(arrays[name], wanted[name]) for name in wanted)
    started = json.loads((found.out / "log.jsonl").read_text().splitlines()[0])["init"]
    assert started["file"] == "vgg19.pth"
    refused = train("--init", path, out="narrow")
    assert refused.code == 2
    assert "set width=1 or leave VGG-19 out" in refused.said


@pytest.mark.parametrize(("bf16", "times", "told"), [("true", 7, True), ("true", 1, False), ("false", 7, False)])
def test_the_command_tells_it_when_it_starts(train, monkeypatch, bf16, times, told):
    monkeypatch.setattr(precision, "cost", lambda convolution: times)

    assert ("bfloat16: a convolution takes" in train(bf16=bf16).said) == told
