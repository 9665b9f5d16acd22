"""Imported first by programs that train: they are sent SIGTERM when their launcher dies.

What ``accelerate launch`` and ``torchrun`` start would go on without them after ``kill -9``, unseen
and in the workspace of the run that is started next. Linux sends the signal; elsewhere, and where
no launcher started the program, nothing happens. What SIGTERM does is up to the program: while it
trains, it saves and ends.
"""

import ctypes
import os
import signal
import sys

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


if sys.platform == "linux" and any(name in os.environ for name in _LAUNCHED):
    stop_with_launcher()
