"""What processes that train together agree on, with the others' part played: how they begin, skip, and stop."""

import gc
import json
import signal
import weakref
from itertools import count

import pytest
from torch import nn

import keras_impl.ranks
import pytorch_impl.ranks
import pytorch_impl.training
from shared.errors import UserError
from shared.loader import Share
from shared.samples import Pipeline
from shared.trainlog import skipped

pytestmark = pytest.mark.slow


def steps(out):
    """Those that are in the log, which has each once."""
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()[1:]]
    return [entry["step"] for entry in entries if "loss" in entry]


@pytest.fixture
def first_of_two(monkeypatch):
    """A function that makes this process the first of two; the other one's numbers are this one's, changed by it."""

    def pretend(theirs):
        monkeypatch.setattr(pytorch_impl.ranks.Ranks, "share", Share(0, 2))
        monkeypatch.setattr(pytorch_impl.ranks.Ranks, "average", lambda self, mine: (mine + theirs(mine)) / 2)

    return pretend


def test_processes_that_begin_with_other_weights_or_steps_do_not_train(train, first_of_two):
    first_of_two(lambda mine: mine + 1000)

    done = train()

    assert done.code == 2
    assert "the processes do not begin alike, this one with step 0; expected one folder" in done.said
    assert not list(done.out.glob("*.safetensors"))


@pytest.mark.parametrize("rounding", [0, 1e-15])
def test_processes_that_begin_alike_train(train, first_of_two, rounding):
    first_of_two(lambda mine: mine * (1 + rounding))

    assert train().code == 0


def test_a_signal_to_one_process_stops_all_with_a_checkpoint_of_their_step(train, monkeypatch):
    asked = count()  # twice before the first step
    monkeypatch.setattr(pytorch_impl.ranks.Ranks, "average", lambda self, mine: float(next(asked) >= 3))

    done = train(steps=4)

    assert done.code == 128 + signal.SIGTERM
    assert "stopped at step 2; go on with --resume" in done.said
    monkeypatch.undo()
    assert train("--resume", steps=4).code == 0
    assert steps(done.out) == [1, 2, 3, 4]


def test_a_network_that_processes_have_in_common_is_never_freed(monkeypatch):
    """To free it can wait for ever; see docs/decisions/0006-training.md."""
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", lambda network, **_: nn.Sequential(network))
    monkeypatch.setattr(pytorch_impl.ranks, "_KEPT", [])
    ranks = pytorch_impl.ranks.Ranks()
    ranks.size = 2

    joined = weakref.ref(ranks.together(nn.Conv2d(3, 4, 3)))
    gc.collect()

    assert joined() is not None


def test_what_a_process_without_a_log_skips_is_told_all_the_same(tmp_path, capsys):
    skipped(tmp_path, 3, 7, ("a.jpg: broken", "b.jpg: broken"))
    skipped(tmp_path, 3, 8, ("c.jpg: broken",))

    lines = [json.loads(line) for line in (tmp_path / "skipped_3.jsonl").read_text().splitlines()]
    assert [(line["step"], line["skipped"][0]) for line in lines] == [(7, "a"), (7, "b"), (8, "c")]
    assert capsys.readouterr().err.count("skipped: ") == 3


@pytest.mark.parametrize(("name", "ranks"), [("torch", pytorch_impl.ranks), ("keras", keras_impl.ranks)])
def test_a_batch_that_devices_cannot_share_equally_is_refused(train, monkeypatch, name, ranks):
    monkeypatch.setattr(ranks.Ranks, "replicas", 3)

    done = train(name=name, batch=4)

    assert done.code == 2
    assert "batch 4 for 3 devices" in done.said


def test_a_picture_that_breaks_a_validation_does_not_cost_what_was_learnt(train, monkeypatch):
    def broken(self, indices):
        raise UserError("val.jpg: gone")

    monkeypatch.setattr(Pipeline, "plain_batch", broken)

    done = train("--validate-on", "2", steps=4, validate=3)

    assert done.code == 2
    assert done.said.count("error: val.jpg: gone") == 1
    monkeypatch.undo()
    assert train("--resume", "--validate-on", "2", steps=4, validate=3).weights
    assert steps(done.out) == [1, 2, 3, 4]


def test_a_validation_whose_loss_is_no_number_ends_the_training(train, monkeypatch):
    monkeypatch.setattr(pytorch_impl.training.Trainer, "losses", lambda self, batch: {"conv": float("nan")})

    done = train("--validate-on", "2")

    assert done.code == 2
    assert "the loss of the validation is nan; expected a finite one" in done.said
    assert not list(done.out.glob("*.safetensors"))


def test_a_schedule_that_follows_validations_needs_some(train):
    done = train(schedule__law="plateau")

    assert done.code == 2
    assert "there is nothing to validate on" in done.said
    assert train("--validate-on", "4", schedule__law="plateau").code == 0
