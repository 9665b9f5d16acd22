"""Back-pressure for what cannot wait: the newest item wins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot between a producer that never waits and a consumer that always gets the newest."""

    def __init__(self, on_drop: Callable[[], None]) -> None:
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
        """Leave ``item``; what was there and not fetched is dropped."""
        with self._changed:
            if self._slot:
                self._slot.clear()
                self._on_drop()
            self._slot.append(item)
            self._changed.notify()

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing follows; ``error`` is raised where the next item would have been."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def __iter__(self) -> Iterator[T]:
        """Wait for items, the newest one each time, until the end."""
        while True:
            with self._changed:
                while not self._slot and not self._ended:
                    self._changed.wait()
                if not self._slot:
                    break
                item = self._slot.pop()
            yield item
        if self._error is not None:
            raise self._error


def newest(items: Generator[T, None, None], on_drop: Callable[[], None]) -> Iterator[T]:
    """Run a generator in a background thread at its own pace; yield the newest item each time.

    Args:
        items: What to run. It is closed at its end, or before its next item once the caller stops.
        on_drop: Called in the thread for each item that came too early to be fetched.
    """
    mailbox = Mailbox[T](on_drop)

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
