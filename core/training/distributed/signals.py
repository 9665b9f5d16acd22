"""Being asked to stop, by a scheduler that needs the machine or by a person."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopSignals:
    """While active, remembers SIGTERM and SIGUSR1 instead of letting them end the program.

    Only the main thread can be active. What was there before is put back at the end.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        """Name of the first signal that came, if one did."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
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


def outlive_stop_signals() -> None:
    """Let a helper process live on when signals are sent to everybody, a whole job for example.

    The training process ends its helpers itself, after it has saved: of SIGTERM, only its own ends
    the helper.
    """
    for number in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, name="signals", daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
