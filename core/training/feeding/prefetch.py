"""Batches drawn while the device is busy with the step before."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext

import torch

from core.checks import UserError
from core.types import ClipBatch

_AHEAD = 2
_POLL_S = 0.2
_GRACE_S = 10.0

_Ready = tuple[ClipBatch, torch.cuda.Event | None]


class NoBatchError(UserError):
    """A stop was requested while a batch was waited for, which did not come."""


class Prefetcher:
    """Draws batches from a generator on a thread and, on a GPU, on a stream of its own.

    A thread rather than a process: its host time, some thousand kernel launches for procedural
    scenes, falls into the training thread's waits for the device and for autograd's own thread,
    which release Python's lock; and batches lie in the memory of the process that needs them. The
    streams of samples do not use PyTorch's generators, so that what a step draws does not depend
    on how far ahead the thread is.

    Args:
        batches: Gives batches on ``device``; closed by :meth:`close`.
        device: Where they are made.
        stop_requested: Says whether the run is to end: a batch that does not come is then waited
            for no longer than ten seconds.
    """

    def __init__(
        self,
        batches: Generator[ClipBatch, None, None],
        device: torch.device,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self._batches = batches
        self._device = device
        self._stop_requested = stop_requested
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._ready: queue.Queue[_Ready | BaseException] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._first: _Ready | None = None
        self.waited = 0.0
        """Seconds that the last batch was waited for."""

    def start(self) -> None:
        """Start the thread, and wait for the first batch.

        Raises:
            UserError: If a file of a sample cannot be read.
            NoBatchError: As :meth:`next`.
        """
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()
        self._first = self._wait()

    def next(self) -> ClipBatch:
        """Return the next batch, safe to use on the current stream; after :meth:`start`.

        Raises:
            UserError: If a file of a sample cannot be read. There is no batch after that.
            NoBatchError: If a stop was requested, and the batch did not come soon after.
        """
        started = time.monotonic()
        item, self._first = self._first or self._wait(), None
        self.waited = time.monotonic() - started
        batch, made = item
        if made is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(made)
            for tensor in batch.tensors():
                tensor.record_stream(current)
        return batch

    def close(self) -> None:
        """Stop the thread and close the generator.

        A thread that still waits for samples after ten seconds is left to itself.
        """
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_GRACE_S)
        if self._thread is None or not self._thread.is_alive():
            self._batches.close()

    def _wait(self) -> _Ready:
        deadline = math.inf
        while time.monotonic() < deadline:
            try:
                item = self._ready.get(timeout=_POLL_S)
            except queue.Empty:
                if deadline == math.inf and self._stop_requested():
                    deadline = time.monotonic() + _GRACE_S
                continue
            if isinstance(item, BaseException):
                raise item
            return item
        raise NoBatchError("asked to stop while the next batch did not come.")

    def _draw(self) -> _Ready:
        with self._on_device():
            batch = next(self._batches)
            made = torch.cuda.Event() if self._stream is not None else None
            if made is not None:
                made.record()
        return batch, made

    def _on_device(self) -> AbstractContextManager[object]:
        # Switches the thread's current device along with the stream.
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _work(self) -> None:
        item: _Ready | BaseException
        while not self._stopped.is_set():
            try:
                item = self._draw()
            except BaseException as error:  # handed on to the thread that asks for the batch
                item = error
            while not self._stopped.is_set():
                try:
                    self._ready.put(item, timeout=_POLL_S)
                    break
                except queue.Full:
                    continue
            if isinstance(item, BaseException):
                return
