"""Images to predictions in stages that overlap: reading ahead of the network, decoding behind it."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from threading import Lock
from typing import Any, Protocol

from shared.coco import ImageRecord
from shared.coco_ap import results
from shared.overlap import ordered
from shared.person import Pose
from shared.skeleton import Skeleton

Groups = Sequence[Sequence[ImageRecord]]
Size = tuple[int, int]
STAGES = ("read", "prepare", "network", "decode")
_MOST_THREADS = 8  # each may hold an image's maps at full resolution


class Predictor(Protocol):
    """What is run here, on what `read` gives of an image; see `shared.inference.BottomUp`."""

    skeleton: Skeleton

    def prepare(self, image: Any) -> Any: ...
    def forward(self, images: Sequence[Any]) -> Sequence[Any]: ...
    def finish(self, prepared: Any, outputs: Any) -> list[Pose]: ...
    def input_sizes(self, size: Size) -> tuple[Size, ...]: ...


class Clock:
    """Seconds spent in each stage, added up over all threads: together they may be more than have passed."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        with self._lock:
            self.seconds[stage] += time.perf_counter() - start


def groups(
    records: Sequence[ImageRecord], input_sizes: Callable[[Size], tuple[Size, ...]], batch: int
) -> list[list[ImageRecord]]:
    """The images that go through the network together: up to `batch` whose inputs have equal sizes.

    They depend on all images and not on which are done: a batch may change the last bits of its results.
    """
    found: list[list[ImageRecord]] = []
    open_groups: dict[tuple[Size, ...], list[ImageRecord]] = {}
    for record in records:
        sizes = input_sizes((record.height, record.width))
        if sizes not in open_groups:
            open_groups[sizes] = []
            found.append(open_groups[sizes])
        open_groups[sizes].append(record)
        if len(open_groups[sizes]) == batch:
            del open_groups[sizes]
    return found


def predictions(
    groups: Groups,
    read: Callable[[ImageRecord], Any],
    predictor: Predictor,
    clock: Clock,
    threads: int | None = None,
) -> Generator[tuple[int, list[dict[str, Any]]], None, None]:
    """Image id and predictions in COCO's results format of every image, in the order of the groups.

    The network runs in the caller's thread, everything else in `threads` others (None: as many as there are cores).
    No more images are in work than there are threads and places in a group.  Close the iterator to end the threads.
    """
    threads = threads or min(os.cpu_count() or 1, _MOST_THREADS)
    most = threads + max(map(len, groups), default=1)
    pool = ThreadPoolExecutor(threads, "evaluation")

    def load(record: ImageRecord) -> Any:
        with clock("read"):
            image = read(record)
        with clock("prepare"):
            return predictor.prepare(image)

    def through_network() -> Iterator[tuple[ImageRecord, Any, Any]]:
        loaded = ordered(load, chain.from_iterable(groups), pool, most)
        for group in groups:
            images = list(islice(loaded, len(group)))
            with clock("network"):
                outputs = predictor.forward(images)
            yield from zip(group, images, outputs, strict=True)

    def finish(image: tuple[ImageRecord, Any, Any]) -> tuple[int, list[dict[str, Any]]]:
        record, prepared, outputs = image
        with clock("decode"):
            return record.id, results(record.id, predictor.finish(prepared, outputs), predictor.skeleton)

    try:
        yield from ordered(finish, through_network(), pool, most)
    finally:
        pool.shutdown(cancel_futures=True)
