import threading
import time
from itertools import islice

import pytest
import torch

from core.checks import UserError
from core.training.feeding import prefetch
from core.training.feeding.prefetch import NoBatchError, Prefetcher

CPU = torch.device("cpu")


def _numbers(drawn, closed, fail_at=None):
    try:
        for number in range(100):
            if number == fail_at:
                raise UserError(f"sample {number} cannot be read")
            drawn.append(number)
            yield number
    finally:
        closed.append(True)


def test_batches_come_in_order_and_a_few_ahead():
    drawn, closed = [], []
    feed = Prefetcher(_numbers(drawn, closed), CPU)
    feed.start()
    assert [feed.next() for _ in range(5)] == [0, 1, 2, 3, 4]
    deadline = time.monotonic() + 5
    while len(drawn) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    # Two in the queue and one in hand, no more.
    assert drawn == list(range(8))
    feed.close()
    assert closed == [True]
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}


def test_errors_reach_whoever_asks_for_the_batch():
    drawn, closed = [], []
    feed = Prefetcher(_numbers(drawn, closed, fail_at=2), CPU)
    feed.start()
    assert [feed.next(), feed.next()] == [0, 1]
    with pytest.raises(UserError, match="sample 2"):
        feed.next()
    feed.close()
    assert closed == [True]


def test_waiting_is_timed():
    go_on = threading.Event()

    def slowly():
        for number in range(4):
            if number == 3:
                go_on.wait()
            yield number

    feed = Prefetcher(slowly(), CPU)
    feed.start()
    assert [feed.next(), feed.next(), feed.next()] == [0, 1, 2]
    before = feed.waited
    threading.Timer(0.3, go_on.set).start()
    assert feed.next() == 3
    assert feed.waited - before >= 0.25
    feed.close()


@pytest.mark.slow
def test_closing_without_a_single_batch_is_fine():
    feed = Prefetcher(iter_numbers := _numbers([], []), CPU)
    feed.close()
    assert list(islice(iter_numbers, 1)) == []


def _endless_wait(released):
    yield 0
    released.wait()
    yield 1


def test_a_stop_ends_the_wait_for_a_batch_that_does_not_come(monkeypatch):
    monkeypatch.setattr(prefetch, "_GRACE_S", 0.3)
    released, stopped = threading.Event(), threading.Event()
    feed = Prefetcher(_endless_wait(released), CPU, stopped.is_set)
    feed.start()
    assert feed.next() == 0
    stopped.set()
    with pytest.raises(NoBatchError):
        feed.next()
    feed.close()
    released.set()


def test_a_stop_ends_the_wait_for_the_first_batch(monkeypatch):
    monkeypatch.setattr(prefetch, "_GRACE_S", 0.1)
    released = threading.Event()

    def never():
        released.wait()
        yield 0

    feed = Prefetcher(never(), CPU, lambda: True)
    with pytest.raises(NoBatchError):
        feed.start()
    released.set()
    feed.close()
