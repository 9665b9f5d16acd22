"""Batches drawn while the device is busy with the step before."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext

import torch

from core.types import ClipBatch

_AHEAD = 2
_POLL_S = 0.2

_Ready = tuple[ClipBatch, torch.cuda.Event | None]


class Prefetcher:
    """Draws batches from a generator on a thread and, on a GPU, on a stream of its own.

    A thread rather than a process: its host time, some thousand kernel launches for procedural
    scenes, falls into the training thread's waits for the device and for autograd's own thread,
    which release Python's lock; and batches lie in the memory of the process that needs them. The
    streams of samples do not use PyTorch's generators, so that what a step draws does not depend
    on how far ahead the thread is.

    :meth:`start` draws the first batch in the thread of its caller, from which worker processes are
    then forked.

    Args:
        batches: Gives batches on ``device``; closed by :meth:`close`.
        device: Where they are made.
    """

    def __init__(self, batches: Generator[ClipBatch, None, None], device: torch.device) -> None:
        self._batches = batches
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._ready: queue.Queue[_Ready | BaseException] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.waited = 0.0
        """Seconds that the last batch was waited for."""

    def start(self) -> None:
        """Draw the first batch, and let the thread draw those after it.

        Raises:
            UserError: If a file of a sample cannot be read.
        """
        self._ready.put(self._draw())
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def next(self) -> ClipBatch:
        """Return the next batch, safe to use on the current stream; after :meth:`start`.

        Raises:
            UserError: If a file of a sample cannot be read. There is no batch after that.
        """
        started = time.monotonic()
        item = self._ready.get()
        self.waited = time.monotonic() - started
        if isinstance(item, BaseException):
            raise item
        batch, made = item
        if made is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(made)
            for tensor in batch.tensors():
                tensor.record_stream(current)
        return batch

    def close(self) -> None:
        """Stop the thread and close the generator."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._batches.close()

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
