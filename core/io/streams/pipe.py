"""Named pipes, opened once."""

from __future__ import annotations

import os
import select

from core.checks import UserError

SENDER_TIMEOUT_S = 15
"""How long to wait for somebody who opens the other end."""


def open_pipe(path: str) -> int:
    """Open a pipe for reading, and wait until a sender has opened it, too.

    A sender may then take as long as it likes. Ctrl-C and SIGTERM end the wait.

    Returns:
        The file descriptor.

    Raises:
        UserError: If there is no sender in time, or the pipe may not be read.
    """
    try:
        # Opening it as usual would wait for a sender, without limit and deaf to Ctrl-C.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise UserError(f"cannot read the pipe {path}: {error.strerror}.") from error
    try:
        arrival = select.poll()
        arrival.register(descriptor, select.POLLIN)
        if not arrival.poll(1000 * SENDER_TIMEOUT_S) and not _has_sender(descriptor):
            raise UserError(
                f"nobody has opened the pipe {path} to write within {SENDER_TIMEOUT_S} s; start "
                "the sender first."
            )
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _has_sender(descriptor: int) -> bool:
    """Whether the other end of a pipe that is empty is open."""
    try:
        return bool(os.read(descriptor, 1))
    except BlockingIOError:
        return True
