"""One run at a time on a workspace, wherever the other was started."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from core.checks import UserError
from core.logging import get_logger
from core.training.distributed.signals import StopRequests

LOCK_FILE = ".lock"
_WAIT_S = 120.0
_POLL_S = 0.2
_logger = get_logger(__name__)


class WorkspaceLock:
    """A lock on ``.lock`` in a workspace, which the kernel releases when its process dies.

    NFS passes it on to other machines, and forked processes give it up, so that the workers that a
    killed run leaves behind for a moment do not hold it. The file names the holder.

    Args:
        workspace: Folder of the run; made if it is not there.
        wait_s: Seconds that :meth:`acquire` waits for another run. One that lost its launcher
            ends its step and saves meanwhile, and file servers forget a machine that is gone.
    """

    def __init__(self, workspace: Path, wait_s: float = _WAIT_S) -> None:
        self._path = workspace / LOCK_FILE
        self._wait_s = wait_s
        self._lock = FileLock(self._path)

    def __enter__(self) -> WorkspaceLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def acquire(self, stop: StopRequests) -> bool:
        """Take the lock, after a run that still holds it; one process of a run calls this.

        Where the file system knows no locks, a warning says so, and the run starts without it.

        Args:
            stop: A signal ends the wait.

        Returns:
            False if a signal came before the lock was free.

        Raises:
            UserError: If another run holds it for longer than is waited, or the workspace cannot be
                written to.
        """
        workspace = self._path.parent
        try:
            workspace.mkdir(parents=True, exist_ok=True)
            if not self._wait(0.0, stop):
                holder = self._holder()
                _logger.info(
                    "waiting up to %.0f s for %s, which still uses %s",
                    *(self._wait_s, holder, workspace),
                )
                if not self._wait(self._wait_s, stop):
                    if stop.received is not None:
                        return False
                    raise UserError(
                        f"{workspace} is in use by {holder}; wait for that run, stop it, or choose "
                        "another --workspace. If it is gone for certain, and its machine took the "
                        f"lock along, remove {self._path}."
                    )
            self._path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        except OSError as error:
            if error.errno == errno.ENOLCK:
                _logger.warning(
                    "%s cannot be locked (%s): make sure that no other run uses this workspace.",
                    *(self._path, error.strerror),
                )
                return True
            raise UserError(
                f"cannot write {self._path}: {error.strerror}; choose a --workspace with room and "
                "rights."
            ) from error
        return True

    def _wait(self, seconds: float, stop: StopRequests) -> bool:
        """Return whether the lock was taken within so many seconds and before a signal."""
        try:
            self._lock.acquire(seconds, _POLL_S, cancel_check=lambda: stop.received is not None)
        except Timeout:
            return False
        return True

    def _holder(self) -> str:
        try:
            return self._path.read_text().strip() or "another run"
        except OSError:
            return "another run"
