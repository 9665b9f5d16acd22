"""From a thread that captures to the one that works, where the first may wait forever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot between a producer and a consumer.

    Args:
        on_drop: With it the producer never waits, and the consumer gets the newest item; it is
            called for each one that was overtaken. Without it the producer waits until the slot is
            free.
    """

    def __init__(self, on_drop: Callable[[], None] | None) -> None:
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._slot: list[T] = []
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether either side has closed it."""
        return self._ended

    def put(self, item: T) -> None:
        """Leave ``item``, unless the consumer has closed."""
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
        """Say that nothing follows; ``error`` is raised where the next item would have been."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Wait for items until the end."""
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


def newest(items: Generator[T, None, None], on_drop: Callable[[], None]) -> Iterator[T]:
    """Run a generator in a background thread at its own pace; yield the newest item each time.

    Args:
        items: What to run. It is closed at its end, or before its next item once the caller stops.
        on_drop: Called in the thread for each item that came too early to be fetched.
    """
    return _capture(items, Mailbox[T](on_drop))


def every(items: Generator[T, None, None]) -> Iterator[T]:
    """Run a generator in a background thread, two items ahead at most; yield all of them.

    Unlike :func:`core.io.prefetch.prefetch` the caller may stop while the next item does not come.

    Args:
        items: What to run; see :func:`newest`.
    """
    return _capture(items, Mailbox[T](None))


def await_result(call: Callable[[], T]) -> T:
    """Run a call in a background thread and wait for what it returns or raises.

    Unlike a library that waits by itself, the caller hears Ctrl-C and SIGTERM meanwhile; the call
    is then left alone, and what it returns is dropped.

    Args:
        call: What to run.
    """

    def results() -> Generator[T, None, None]:
        yield call()

    return next(every(results()))


def _capture(items: Generator[T, None, None], mailbox: Mailbox[T]) -> Iterator[T]:
    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if mailbox.ended:
                    break
                mailbox.put(item)
            items.close()
        except BaseException as caught:
            error = caught
        mailbox.close(error)

    # A daemon, because a source that gives nothing more would otherwise keep the program alive.
    thread = threading.Thread(target=produce, name="capture", daemon=True)
    thread.start()
    try:
        yield from mailbox
    finally:
        mailbox.close()
