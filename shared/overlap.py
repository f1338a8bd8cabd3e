"""Stages of work that overlap: threads work on the next items while the caller deals with this one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered(work: Callable[[Item], Result], items: Iterable[Item], pool: Executor, most: int) -> Iterator[Result]:
    """`work(item)` of every item, done in the pool and given in the order of the items.

    At most `most` items are in work or wait to be taken, so that memory stays flat however long `items` is; these are
    pulled by whoever takes the results, in that thread.  An error comes in its place: after the results of all items
    before it, whether `work` or `items` raises it.  Whoever owns the pool ends what is then still in work.
    """
    waiting: deque[Future[Result]] = deque()
    for future in _submitted(work, items, pool):
        waiting.append(future)
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _submitted(work: Callable[[Item], Result], items: Iterable[Item], pool: Executor) -> Iterator[Future[Result]]:
    try:
        for item in items:
            yield pool.submit(work, item)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (raised again where its result is asked for)
        failed: Future[Result] = Future()
        failed.set_exception(error)
        yield failed
