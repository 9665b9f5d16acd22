"""Work on what comes next while the caller is busy with what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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
