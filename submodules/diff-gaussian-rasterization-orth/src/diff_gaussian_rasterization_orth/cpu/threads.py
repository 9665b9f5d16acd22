"""A parallel loop over Python threads; kernels release the GIL while they run.

numba's own parallel loops are not used: its OpenMP layer ends a process that forks (as data loaders
do), its workqueue layer one that renders from two threads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import torch

_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def num_threads() -> int:
    """Return how many threads may work: PyTorch's number, and never more than numba's."""
    return min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def parallel_for(count: int, work: Callable[[int], None]) -> None:
    """Call ``work(0)`` to ``work(count - 1)``, each once, on the caller's and other threads.

    A free thread takes the next number; results must not depend on which thread it is.
    """
    helpers = min(num_threads(), count) - 1
    if helpers < 1:
        for index in range(count):
            work(index)
        return
    numbers = itertools.count()

    def drain() -> None:
        while (index := next(numbers)) < count:
            work(index)

    pool = _get_pool(helpers)
    futures = [pool.submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        # A helper that has not begun finds nothing left to do; one that has must finish first.
        started = [future for future in futures if not future.cancel()]
        for future in started:
            future.exception()
    for future in started:
        future.result()


def _get_pool(size: int) -> ThreadPoolExecutor:
    """Return a pool of at least ``size`` threads, which live as long as the process."""
    global _pool, _pool_size
    if _pool is None or _pool_size < size:
        _pool, _pool_size = ThreadPoolExecutor(size, thread_name_prefix="rasterize"), size
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


# Threads do not survive a fork: a child that inherits the pool would wait for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
