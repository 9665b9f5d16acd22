"""Imported first by programs that train, for the signals of launchers and schedulers.

They are sent SIGTERM when their launcher dies.

What ``accelerate launch`` and ``torchrun`` start would go on without them after ``kill -9``, unseen
and in the workspace of the run that is started next. Linux sends the signal; elsewhere, and where
no launcher started the program, nothing happens. What SIGTERM does is up to the program: while it
trains, it saves and ends.

SIGUSR1, by which a scheduler asks to stop, ends them with status 75 (try again) until they listen
to it themselves, as it does later.
"""

import ctypes
import os
import signal
import sys
from types import FrameType

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_LAUNCHED = ("TORCHELASTIC_RUN_ID", "ACCELERATE_DYNAMO_MODE")
"""What launchers set for several processes and for one, and nobody else: a shell that ends must not
stop what it started in the background, although that may have LOCAL_RANK in its environment."""


def stop_with_launcher() -> None:
    """Have the kernel send SIGTERM to this process when the one that started it dies."""
    launcher = os.getppid()
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return
    prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != launcher:  # it died before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)


def _try_again(number: int, frame: FrameType | None) -> None:
    os.write(2, b"SIGUSR1 asked to stop; nothing was done.\n")
    os._exit(os.EX_TEMPFAIL)


if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
    signal.signal(signal.SIGUSR1, _try_again)
if sys.platform == "linux" and any(name in os.environ for name in _LAUNCHED):
    stop_with_launcher()
