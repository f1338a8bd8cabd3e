"""Batches ahead of the training step, made in threads or in processes; the same whatever makes them."""

import signal
from collections import deque
from collections.abc import Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from shared.errors import UserError
from shared.samples import Batch, Pipeline

_THREADS = 2
_AHEAD = 2  # batches for each worker

_pipeline: Pipeline | None = None  # of a worker process


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
    pipeline: Pipeline, first_step: int = 0, share: Share = ALONE, workers: int = 0
) -> Generator[Batch, None, None]:
    """Batches without end, from step `first_step` on, in order.

    `workers` processes make them, or threads of this process for 0.  Step, rank and seed decide what is in a batch:
    the number of workers does not.
    """
    step = first_step
    waiting: deque[Future[Batch]] = deque()
    with _executor(pipeline, workers) as pool:
        try:
            while True:
                while len(waiting) < _AHEAD * (workers or 1):
                    positions = share.positions(step, pipeline.recipe.batch)
                    if workers:
                        waiting.append(pool.submit(_make, positions))
                    else:
                        waiting.append(pool.submit(pipeline.batch, positions))
                    step += 1
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a process that makes samples was ended, perhaps for want of memory; expected it to work on; "
                "go on with --resume and fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _executor(pipeline: Pipeline, workers: int) -> Executor:
    if not workers:
        return ThreadPoolExecutor(_THREADS)
    # A new process: a fork would copy the threads' locks of the framework that is loaded here.
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(pipeline,))


def _start(pipeline: Pipeline) -> None:
    import cv2

    global _pipeline
    _pipeline = pipeline
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the training process ends its workers


def _make(positions: range) -> Batch:
    assert _pipeline is not None
    return _pipeline.batch(positions)
