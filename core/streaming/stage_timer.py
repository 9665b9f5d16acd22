"""How long the parts of a stream take, on whichever device they run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StageTimer:
    """Collects durations by the name of a stage, until :meth:`seconds` returns them.

    On CUDA they are measured between events on the current stream, so that the host does not wait;
    on the CPU by the wall clock.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._spans: defaultdict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]]
        self._spans = defaultdict(list)
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside the block."""
        if self._device.type == "cuda":
            stream = torch.cuda.current_stream(self._device)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record(stream)
            yield
            end.record(stream)
            self._spans[name].append((start, end))
        else:
            begin = time.perf_counter()
            yield
            self._seconds[name].append(time.perf_counter() - begin)

    def seconds(self) -> dict[str, list[float]]:
        """Return the durations by stage, in seconds, and start over; waits for the device."""
        for name, spans in self._spans.items():
            for start, end in spans:
                end.synchronize()
                self._seconds[name].append(start.elapsed_time(end) / 1000)
        collected = dict(self._seconds)
        self._spans.clear()
        self._seconds = defaultdict(list)
        return collected
