"""Work in threads comes in the order of its items, a few at a time, and its errors in their place."""

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest

from shared.overlap import ordered

PATIENCE = 30  # s until a test that waits for what never comes fails


@pytest.fixture
def pool():
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_results_are_in_the_order_of_items_though_the_first_is_done_last(pool):
    second = Event()

    def work(item):
        if item == 0:
            assert second.wait(PATIENCE)
        if item == 1:
            second.set()
        return item * item

    assert list(ordered(work, range(20), pool, 3)) == [n * n for n in range(20)]


def test_items_are_worked_on_at_the_same_time(pool):
    """Each waits for two others: one after the other they would wait for ever."""
    together = Barrier(3)

    assert list(ordered(lambda item: together.wait(PATIENCE) * 0 + item, range(6), pool, 3)) == list(range(6))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_items_are_pulled_than_may_be_in_work(pool, most):
    pulled = []

    def items():
        for item in range(12):
            pulled.append(item)
            yield item

    for taken, _ in enumerate(ordered(abs, items(), pool, most)):
        assert len(pulled) == min(taken + most, 12)


def test_items_are_pulled_in_the_thread_that_takes_the_results(pool):
    threads = set()

    def items():
        for item in range(5):
            threads.add(threading.get_ident())
            yield item

    list(ordered(abs, items(), pool, 2))

    assert threads == {threading.get_ident()}


def failing(number):
    def work(item):
        if item == number:
            raise ValueError(f"item {item}")
        return item

    return work


def results_until_an_error(results):
    found = []
    with pytest.raises(ValueError, match="item 3"):
        found.extend(results)
    return found


@pytest.mark.parametrize("most", [1, 2, 4, 9])
def test_an_error_comes_after_the_results_before_it(pool, most):
    assert results_until_an_error(ordered(failing(3), range(8), pool, most)) == [0, 1, 2]


@pytest.mark.parametrize("most", [1, 2, 4, 9])
def test_an_error_of_the_items_comes_after_the_results_before_it(pool, most):
    assert results_until_an_error(ordered(abs, map(failing(3), range(8)), pool, most)) == [0, 1, 2]


def test_an_error_goes_through_several_stages(pool):
    stages = ordered(abs, ordered(failing(3), range(8), pool, 2), pool, 3)

    assert results_until_an_error(stages) == [0, 1, 2]


def test_nothing_gives_nothing(pool):
    assert list(ordered(abs, [], pool, 2)) == []


def test_the_pool_is_left_to_its_owner(pool):
    list(ordered(abs, range(4), pool, 2))

    assert pool.submit(abs, -1).result() == 1
    assert all(isinstance(thread, Thread) for thread in pool._threads)
