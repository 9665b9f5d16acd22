"""One run at a time on a workspace, wherever the other was started."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from core.checks import UserError
from core.logging import get_logger
from core.training.distributed.signals import StopSignals

LOCK_FILE = ".lock"
_PATIENCE = 120.0
_GLANCE = 0.2
_HELD = (errno.EACCES, errno.EAGAIN)
_logger = get_logger(__name__)


class WorkspaceLock:
    """A lock on ``.lock`` in a workspace, which the kernel releases when its process dies.

    It is one of POSIX: it belongs to the process alone, so that the workers that a killed run
    leaves behind for a moment do not hold it, and NFS passes it on to other machines. The file says
    who holds it, and stays: removing it would let two runs lock two files of one name.

    Args:
        workspace: Folder of the run; made if it is not there.
        patience: Seconds that :meth:`acquire` waits for another run. One that lost its launcher
            ends its step and saves meanwhile, and servers of files forget a machine that is gone.
    """

    def __init__(self, workspace: Path, patience: float = _PATIENCE) -> None:
        self._path = workspace / LOCK_FILE
        self._patience = patience
        self._descriptor: int | None = None

    def __enter__(self) -> WorkspaceLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def acquire(self, signals: StopSignals) -> bool:
        """Take the lock, after a run that still holds it; one process of a run calls this.

        Where the file system knows no locks that is said, and the run goes on without.

        Args:
            signals: Whether somebody asked to stop, which ends the wait.

        Returns:
            False if somebody asked to stop before the lock was free.

        Raises:
            UserError: If another run holds it for longer than is waited, or the workspace cannot be
                written to.
        """
        deadline = time.monotonic() + self._patience
        waiting = False
        while not self._try():
            if signals.received is not None:
                return False
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self._path.parent} is in use by {self._holder()}; wait for that run, stop "
                    "it, or choose another --workspace. If it is gone for certain, and its machine "
                    f"took the lock along, remove {self._path}."
                )
            if not waiting:
                _logger.info(
                    "waiting up to %.0f s for %s, which still uses %s",
                    self._patience,
                    self._holder(),
                    self._path.parent,
                )
            waiting = True
            time.sleep(_GLANCE)
        return True

    def _try(self) -> bool:
        """Lock the file that has the name now; return False if another run holds it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror}; choose a --workspace with room and "
                "rights."
            ) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD:
                return False
            _logger.warning(
                "%s cannot be locked (%s): see to it that no other run uses this workspace.",
                self._path,
                error.strerror,
            )
            return True
        if not _is_at(descriptor, self._path):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        holder = f"process {os.getpid()} on {socket.gethostname()}\n".encode()
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, holder)
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror}; make room for the run."
            ) from error
        return True

    def _holder(self) -> str:
        try:
            return self._path.read_text().strip() or "another run"
        except OSError:
            return "another run"


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a file still has its name, which somebody may have removed or given to another."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
