"""Batches ahead of the step: the same with threads and processes, and together those of all ranks."""

import multiprocessing
import os
import signal
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from shared.errors import UserError
from shared.loader import Share, batches
from shared.recipes import BUILTIN_SMALL
from shared.samples import Pipeline
from tests.unit.drawn import Drawn

TINY = replace(BUILTIN_SMALL, batch=6, augment=replace(BUILTIN_SMALL.augment, crop=64))
ARRAYS = ("images", "heat", "paf", "mask")


def taken(pipeline, n, first=0, **options):
    supply = batches(pipeline, first, **options)
    found = list(islice(supply, n))
    supply.close()
    return found


def check_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.names == other.names
        assert one.skipped == other.skipped
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_any_step_whatever_makes_them(workers):
    pipeline = Pipeline(Drawn(broken=(4,)), TINY)
    wanted = [pipeline.batch(range(6 * step, 6 * step + 6)) for step in range(7)]

    for first in (0, 3):
        check_same(taken(pipeline, 4, first, workers=workers), wanted[first : first + 4])
    assert any(batch.skipped for batch in wanted)
    with pytest.raises(AssertionError):
        check_same(taken(pipeline, 1, 1, workers=workers), wanted[:1])


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_ranks_batches_are_the_whole_batch(size):
    pipeline = Pipeline(Drawn(), TINY)
    whole = taken(pipeline, 3, 2)
    ranks = [taken(pipeline, 3, 2, share=Share(rank, size)) for rank in range(size)]

    for step, batch in enumerate(whole):
        for name in ARRAYS:
            joined = np.concatenate([getattr(rank[step], name) for rank in ranks])
            np.testing.assert_array_equal(joined, getattr(batch, name))
        assert sum((rank[step].names for rank in ranks), ()) == batch.names


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_shares_of_the_steps_are_every_position_once(size):
    positions = [p for step in range(5) for rank in range(size) for p in Share(rank, size).positions(step, 6)]

    assert positions == list(range(30))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_is_that_of_the_training(workers):
    supply = batches(Pipeline(Drawn(3, broken=range(3)), TINY), workers=workers)

    with pytest.raises(UserError, match="3 samples in a row cannot be read, the last: picture"):
        next(supply)


def test_the_interrupt_of_a_keyboard_does_not_end_the_workers():
    """It is sent to all of them; the training ends after its step, and then they do."""
    pipeline = Pipeline(Drawn(), TINY)
    supply = batches(pipeline, workers=1)
    found = [next(supply)]
    (worker,) = multiprocessing.active_children()

    os.kill(worker.pid, signal.SIGINT)

    found += islice(supply, 4)
    supply.close()
    check_same(found, [pipeline.batch(range(6 * step, 6 * step + 6)) for step in range(5)])


@pytest.mark.parametrize("size", [6, 192], ids=["while it sends a batch", "while it makes one"])
def test_a_worker_that_is_killed_is_one_line(size):
    supply = batches(Pipeline(Drawn(), replace(TINY, batch=size)), workers=1)
    next(supply)
    (worker,) = multiprocessing.active_children()

    os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(UserError, match=r"a process that makes samples was ended, .*; go on with --resume"):
        list(islice(supply, 50))
