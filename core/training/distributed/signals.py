"""Requests to stop: signals of a scheduler or a person, and a limit of time."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopRequests:
    """While active, notes SIGTERM and SIGUSR1 instead of letting them end the program.

    Only the main thread can be active. What was there before is put back at the end.

    Args:
        max_minutes: Minutes from now until :attr:`out_of_time`; None sets no limit.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.received: str | None = None
        """Name of the first signal that came, if one did."""
        self._deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._before: dict[int, Any] = {}

    @property
    def out_of_time(self) -> bool:
        """Whether the minutes are over."""
        return time.monotonic() > self._deadline

    def __enter__(self) -> StopRequests:
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number).name


def ignore_stop_signals() -> None:
    """Keep a worker process alive when a signal is sent to every process of a job.

    The training process ends its workers itself, after it has saved: SIGTERM ends a worker only if
    it comes from there.
    """
    for number in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, name="signals", daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
