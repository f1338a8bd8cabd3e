"""Whoever trains in bfloat16 on a machine without it is told, and nobody else."""

import time
from functools import partial

import pytest

from shared import framework, precision
from tests.commands import trainings


@pytest.fixture
def taking(monkeypatch):
    """A function that gives a convolution that takes so many seconds in bfloat16, and one in float32."""
    monkeypatch.setattr(precision, "_seconds", lambda run: run())
    return lambda seconds: lambda bf16: lambda: seconds if bf16 else 1.0


@pytest.mark.parametrize("seconds", [0.5, 1.0, 7.25])
def test_the_cost_is_the_ratio_of_the_two_times(taking, seconds):
    assert precision.cost(taking(seconds)) == seconds


def test_the_shortest_of_three_times_counts_and_not_the_first(monkeypatch):
    times = iter([3.0, 2.0, 4.0, 0.5, 0.25, 1.0])
    monkeypatch.setattr(precision, "_seconds", lambda run: next(times))
    calls = []

    assert precision.cost(lambda bf16: lambda: calls.append(bf16)) == 2.0 / 0.25
    assert calls == [True, False]  # once each beforehand


def test_time_is_measured():
    assert 0.01 <= precision._seconds(partial(time.sleep, 0.01)) < 10


@pytest.mark.parametrize(("seconds", "told"), [(5.2, "5"), (2.1, "2"), (1.9, None), (0.5, None)])
def test_a_detour_is_told(taking, seconds, told):
    found = precision.advice(taking(seconds))

    line = f"bfloat16: a convolution takes {told} times as long as in float32 here; --set bf16=false trains faster"
    assert found == (line if told else None)


@trainings.both
def test_a_framework_computes_a_convolution_in_both_precisions(name):
    ranks, training = (framework.module(name, part) for part in ("ranks", "training"))

    half, single = (training.convolution(ranks.Ranks(), bf16)() for bf16 in (True, False))

    assert half.size == single.size == 32 * 32 * 9
    assert precision.cost(partial(training.convolution, ranks.Ranks())) > 0
