from __future__ import annotations

import threading

import pytest

from core.io.background import Worker, map_ahead


def test_results_come_in_order_from_several_threads():
    together = threading.Barrier(3, timeout=5)

    def double(item):
        if item < 3:
            together.wait()  # passes only if three work at once
        return 2 * item

    results = map_ahead(double, range(20), threads=3, ahead=4)
    assert list(results) == [2 * item for item in range(20)]


def test_errors_come_in_their_turn():
    results = map_ahead(lambda item: 1 / item, [1, 2, 0, 4], threads=2, ahead=2)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_endless_items_are_asked_for_only_as_far_as_needed():
    asked = iter(range(10**9))
    results = map_ahead(lambda item: item, asked, threads=2, ahead=3)
    assert next(results) == 0
    results.close()
    assert next(asked) < 10


def test_a_worker_takes_items_in_order_and_makes_the_caller_wait():
    free, done = threading.Semaphore(0), []

    def work(item):
        free.acquire(timeout=5)
        done.append(item)

    with Worker(work, 2, "test") as worker:
        worker.put(0)
        worker.put(1)
        threading.Timer(0.05, free.release).start()
        worker.put(2)  # as soon as one of the two is done
        assert done == [0]
        free.release(2)
    assert done == [0, 1, 2]


def test_what_a_worker_meets_is_raised_and_nothing_more_is_worked_on():
    done = []

    def work(item):
        if item == 1:
            raise OSError("the disk is full")
        done.append(item)

    worker = Worker(work, 2, "test")
    with pytest.raises(OSError, match="full"):
        list(map(worker.put, range(100)))
    assert done == [0]
    with pytest.raises(OSError, match="full"):
        worker.finish()


def test_a_worker_drops_what_waits_when_the_caller_fails():
    started, free, done = threading.Event(), threading.Event(), []

    def work(item):
        started.set()
        free.wait(5)
        done.append(item)

    def interrupted():
        with Worker(work, 8, "test") as worker:
            list(map(worker.put, range(4)))
            started.wait(5)
            threading.Timer(0.05, free.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == [0]
