"""Keeps chunks open, as many as fit into a budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ChunkCache(Generic[K, V]):
    """A least-recently-used cache with a budget in bytes; the newest entry always stays.

    It is thread-safe. Pickled copies, as for workers that are not forked, start empty.

    Args:
        load: Opens the value of a key; returns it and its size in bytes.
        budget_bytes: Bytes to keep, at least 0.
    """

    def __init__(self, load: Callable[[K], tuple[V, int]], budget_bytes: int) -> None:
        self._load = load
        self._budget = budget_bytes
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.num_bytes = 0

    def __getitem__(self, key: K) -> V:
        """Return the value of ``key``, opened now if it is not cached."""
        with self._lock:
            if key not in self._held:
                value, size = self._load(key)
                self._held[key] = value, size
                self.num_bytes += size
                while self.num_bytes > self._budget and len(self._held) > 1:
                    _, (_, freed) = self._held.popitem(last=False)
                    self.num_bytes -= freed
            self._held.move_to_end(key)
            return self._held[key][0]

    def __reduce__(self) -> tuple[type[ChunkCache[K, V]], tuple[Any, ...]]:
        return ChunkCache, (self._load, self._budget)
