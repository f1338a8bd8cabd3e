"""Batches ahead of the training step, made in threads or in processes; the same whatever makes them."""

import itertools
import signal
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from shared.errors import UserError
from shared.samples import Batch, Samples

_THREADS = 2
_AHEAD = 2  # batches that threads make ahead; a process has one ready and makes the next


@dataclass(frozen=True)
class Share:
    """What one of `size` ranks takes of every batch."""

    rank: int = 0
    size: int = 1

    def positions(self, step: int, batch: int) -> range:
        """The positions of step `step` that are this rank's: a piece of `batch` consecutive ones."""
        n = batch // self.size
        first = step * batch + self.rank * n
        return range(first, first + n)


ALONE = Share()


def batches(
    pipeline: Samples[Any], first_step: int = 0, share: Share = ALONE, workers: int = 0
) -> Generator[Batch, None, None]:
    """Batches without end, from step `first_step` on, in order.

    `workers` processes make them, or threads of this process for 0.  Step, rank and seed decide what is in a batch:
    the number of workers does not.  Raises `UserError` if a process is killed.
    """
    if workers:
        return _from_processes(pipeline, first_step, share, workers)
    return _from_threads(pipeline, first_step, share)


def _from_threads(pipeline: Samples[Any], first_step: int, share: Share) -> Generator[Batch, None, None]:
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for step in itertools.count(first_step):
                waiting.append(pool.submit(pipeline.batch, share.positions(step, pipeline.recipe.batch)))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _from_processes(
    pipeline: Samples[Any], first_step: int, share: Share, workers: int
) -> Generator[Batch, None, None]:
    """Process w of n makes the steps w, w + n, ... and sends them through a pipe of its own.

    A pipe that only one process writes to ends when that is killed, also amid a batch; the one pipe that the workers
    of Python's pools share does not, and its reader waits for ever.
    """
    context = get_context("spawn")  # a fork would copy the threads' locks of the framework that is loaded here
    pipes, processes = [], []
    try:
        for worker in range(workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_make, args=(writer, pipeline, share, first_step + worker, workers), daemon=True
            )
            process.start()
            writer.close()  # here; the worker has its own end
            pipes.append(reader)
            processes.append(process)
        for turn in itertools.count():
            yield _received(pipes[turn % workers])
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def _received(pipe: Connection) -> Batch:
    try:
        made = pipe.recv()
    except (EOFError, OSError):
        raise UserError(
            "a process that makes samples was ended, perhaps for want of memory; expected it to work on; "
            "go on with --resume and fewer --workers"
        ) from None
    if isinstance(made, Exception):
        raise made
    return made  # type: ignore[no-any-return]


def _make(writer: Connection, pipeline: Samples[Any], share: Share, first: int, every: int) -> None:
    """The work of a process: its steps' batches, or the error that ends it."""
    import cv2

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the training process ends its workers
    try:
        for step in itertools.count(first, every):
            writer.send(pipeline.batch(share.positions(step, pipeline.recipe.batch)))
    except BrokenPipeError:  # the training process is gone
        return
    except UserError as error:
        writer.send(error)
    except Exception as error:
        writer.send(error)
        raise  # so that its traceback is seen
