"""Imported first by programs that train: handles signals of launchers and schedulers.

Where ``accelerate launch`` or ``torchrun`` started the program, Linux sends it SIGTERM when the
launcher dies, by ``kill -9`` as well. Otherwise it would continue unseen, in the workspace of the
run that is started next. On SIGTERM, training saves and ends.

SIGUSR1, by which a scheduler asks to stop, ends the program with status 75 (try again) until
training handles it.
"""

import ctypes
import os
import signal
import sys
from types import FrameType

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_LAUNCHED = ("TORCHELASTIC_RUN_ID", "ACCELERATE_DYNAMO_MODE")
"""Set by launchers of several processes and of one, and by nothing else: a shell that ends must not
stop what it started in the background, which may have LOCAL_RANK in its environment as well."""


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
