"""Work in background threads, ahead of the caller or at its own pace."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

_END = object()
T = TypeVar("T")
R = TypeVar("R")


def prefetch(items: Generator[T, None, None], ahead: int) -> Iterator[T]:
    """Run a generator in one background thread, at most ``ahead`` items before the caller.

    The thread ends, and the generator is closed, with the last item, with an error of the generator
    (which is passed on in its turn), or when the caller stops early.

    Args:
        items: What to run.
        ahead: How many items may wait, at least 1.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        waiting = deque(pool.submit(next, items, _END) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, items, _END))
                yield item  # pyright: ignore[reportReturnType] (the sentinel never gets here)
        finally:
            pool.shutdown(cancel_futures=True)
            items.close()


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int
) -> Generator[R, None, None]:
    """Apply a function in several threads, at most ``ahead`` items before the caller, in order.

    Args:
        function: What to apply; what it raises is passed on in its turn.
        items: What to apply it to; asked for in the caller's thread, and may be endless.
        threads: How many work at once, at least 1.
        ahead: How many results may wait, at least 1.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="map_ahead") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def newest(items: Generator[T, None, None], on_drop: Callable[[], None]) -> Iterator[T]:
    """Run a generator in a background thread at its own pace; yield the newest item each time.

    Args:
        items: What to run. It is closed at its end, or before its next item once the caller stops.
        on_drop: Called in the thread for each item that was not fetched before the next one came.
    """
    return _capture(items, _Slot[T](on_drop))


def every(items: Generator[T, None, None]) -> Iterator[T]:
    """Run a generator in a background thread, two items ahead at most; yield all of them.

    Unlike with :func:`prefetch` the caller may stop while the next item does not come.

    Args:
        items: What to run; see :func:`newest`.
    """
    return _capture(items, _Slot[T](None))


def await_result(call: Callable[[], T]) -> T:
    """Run a call in a background thread and wait for what it returns or raises.

    Ctrl-C and SIGTERM interrupt the wait, also where they would not interrupt the call itself; the
    call then runs on, and what it returns is dropped.

    Args:
        call: What to run.
    """

    def results() -> Generator[T, None, None]:
        yield call()

    return next(every(results()))


class Worker(Generic[T]):
    """Works on items in one background thread, in order and a few behind the caller.

    As a context manager it completes what waits at the end of the block; when that raises, what
    waits is dropped.

    Args:
        work: Called in the thread with each item, until it raises.
        waiting: How many items may wait, at least 1.
        name: What the thread is called.
    """

    def __init__(self, work: Callable[[T], None], waiting: int, name: str) -> None:
        self._work = work
        self._most = waiting
        self._waiting: deque[Future[None]] = deque()
        self._failure: BaseException | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __enter__(self) -> Worker[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def put(self, item: T) -> None:
        """Hand over the next item; wait where too many wait.

        Raises what the work on an item before has raised.
        """
        self._leave(self._most - 1)
        self._waiting.append(self._pool.submit(self._do, item))

    def finish(self) -> None:
        """Wait until all items are worked on; raise what that has raised."""
        self._leave(0)

    def _leave(self, most: int) -> None:
        """Wait until at most so many items wait."""
        while self._waiting and (len(self._waiting) > most or self._waiting[0].done()):
            self._waiting[0].result()  # still there if Ctrl-C ends this wait
            self._waiting.popleft()
        if self._failure is not None:
            raise self._failure

    def _do(self, item: T) -> None:
        if self._failure is None:
            try:
                self._work(item)
            except BaseException as error:
                self._failure = error


class _Slot(Generic[T]):
    """Room for one item between a producer and a consumer.

    Args:
        on_drop: Called for each item that a newer one replaces; the producer then never waits.
            None makes the producer wait until the slot is free.
    """

    def __init__(self, on_drop: Callable[[], None] | None) -> None:
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._slot: list[T] = []
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether either side has closed the slot."""
        return self._ended

    def put(self, item: T) -> None:
        """Store ``item``, unless the slot is closed."""
        with self._changed:
            if self._on_drop is None:
                self._changed.wait_for(lambda: not self._slot or self._ended)
            elif self._slot:
                self._slot.clear()
                self._on_drop()
            if not self._ended:
                self._slot.append(item)
                self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """End the iteration; ``error`` is raised in place of the next item."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield items until the slot is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot or self._ended)
                if not self._slot:
                    break
                item = self._slot.pop()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error


def _capture(items: Generator[T, None, None], slot: _Slot[T]) -> Iterator[T]:
    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if slot.ended:
                    break
                slot.put(item)
            items.close()
        except BaseException as caught:
            error = caught
        slot.close(error)

    # A daemon, because a source that gives nothing more would otherwise keep the program alive.
    thread = threading.Thread(target=produce, name="capture", daemon=True)
    thread.start()
    try:
        yield from slot
    finally:
        slot.close()
