"""What processes that train together agree on, with the others' part played: how they begin, skip, and stop."""

import json
import signal
from itertools import count

import pytest

import keras_impl.ranks
import pytorch_impl.ranks
import pytorch_impl.training
from shared.loader import Share
from shared.samples import Pipeline
from shared.training import command_of
from shared.trainlog import skipped
from shared.weights import read

pytestmark = pytest.mark.slow

SMALL = [
    "--set", "width=0.0625", "--set", "stages=2", "--set", "augment.crop=64", "--set", "batch=4", "--set", "steps=4",
    "--set", "bf16=false", "--set", "norm=false", "--validate-on", "0", "--log-every", "1",
]  # fmt: skip


@pytest.fixture
def train(tmp_path, capsys):
    """A function that trains into tmp_path/out in PyTorch and gives the exit code and what was said."""

    def run(*more, framework="torch"):
        code = command_of(framework)([*SMALL, "--out", str(tmp_path / "out"), *map(str, more)])
        return code, capsys.readouterr().err

    return run


def entries(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()[1:]]


@pytest.fixture
def first_of_two(monkeypatch):
    """A function that makes this process the first of two; the other one's numbers are this one's, changed by it."""

    def pretend(theirs):
        monkeypatch.setattr(pytorch_impl.ranks.Ranks, "share", Share(0, 2))
        monkeypatch.setattr(pytorch_impl.ranks.Ranks, "average", lambda self, mine: (mine + theirs(mine)) / 2)

    return pretend


def test_processes_that_begin_with_other_weights_or_steps_do_not_train(train, first_of_two, tmp_path):
    first_of_two(lambda mine: mine + 1)

    code, said = train()

    assert code == 2
    assert "the processes do not begin alike, this one with step 0; expected one folder" in said
    assert not list(tmp_path.glob("out/*.safetensors"))


def test_processes_that_begin_alike_train(train, first_of_two):
    first_of_two(lambda mine: mine)

    assert train()[0] == 0


def test_a_signal_to_one_process_stops_all_with_a_checkpoint_of_their_step(train, monkeypatch, tmp_path):
    asked = count()  # twice before the first step
    monkeypatch.setattr(pytorch_impl.ranks.Ranks, "average", lambda self, mine: float(next(asked) >= 3))

    code, said = train()

    assert code == 128 + signal.SIGTERM
    assert "stopped at step 2; go on with --resume" in said
    monkeypatch.undo()
    assert train("--resume")[0] == 0
    assert [entry["step"] for entry in entries(tmp_path / "out")] == [1, 2, 3, 4]


def test_what_a_process_without_a_log_skips_is_told_all_the_same(tmp_path, capsys):
    skipped(tmp_path, 3, 7, ("a.jpg: broken", "b.jpg: broken"))
    skipped(tmp_path, 3, 8, ("c.jpg: broken",))

    lines = [json.loads(line) for line in (tmp_path / "skipped_3.jsonl").read_text().splitlines()]
    assert [(line["step"], line["skipped"][0]) for line in lines] == [(7, "a"), (7, "b"), (8, "c")]
    assert capsys.readouterr().err.count("skipped: ") == 3


@pytest.mark.parametrize(("framework", "ranks"), [("torch", pytorch_impl.ranks), ("keras", keras_impl.ranks)])
def test_a_batch_that_devices_cannot_share_equally_is_refused(train, monkeypatch, framework, ranks):
    monkeypatch.setattr(ranks.Ranks, "replicas", 3)

    code, said = train(framework=framework)

    assert code == 2
    assert "batch 4 for 3 devices" in said


def test_a_picture_that_breaks_a_validation_does_not_cost_what_was_learnt(train, monkeypatch, tmp_path):
    from shared.errors import UserError

    def broken(self, indices):
        raise UserError("val.jpg: gone")

    monkeypatch.setattr(Pipeline, "plain_batch", broken)

    code, said = train("--validate-on", "2", "--set", "validate=3")

    assert code == 2
    assert said.count("error: val.jpg: gone") == 1
    monkeypatch.undo()
    assert train("--resume", "--validate-on", "2", "--set", "validate=3")[0] == 0
    assert [entry["step"] for entry in entries(tmp_path / "out") if "loss" in entry] == [1, 2, 3, 4]
    assert read(tmp_path / "out" / "weights.safetensors")


def test_a_validation_whose_loss_is_no_number_ends_the_training(train, monkeypatch, tmp_path):
    monkeypatch.setattr(pytorch_impl.training.Trainer, "losses", lambda self, batch: {"conv": float("nan")})

    code, said = train("--validate-on", "2")

    assert code == 2
    assert "the loss of the validation is nan; expected a finite one" in said
    assert not list(tmp_path.glob("out/*.safetensors"))


def test_a_schedule_that_follows_validations_needs_some(train):
    code, said = train("--set", "schedule.law=plateau", "--set", "schedule.warmup=0")

    assert code == 2
    assert "there is nothing to validate on" in said
    assert train("--set", "schedule.law=plateau", "--set", "schedule.warmup=0", "--validate-on", "4")[0] == 0
