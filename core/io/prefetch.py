"""Work on what comes next while the caller is busy with what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_END = object()
T = TypeVar("T")


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
