"""User errors, and how a command-line program reports them and ends."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType

_SIGPIPE = 13


class UserError(Exception):
    """A problem that the user can mend; the message says what, where, and how.

    Command-line programs print it as one line and exit with status 2; see :func:`cli_errors`. It is
    no ``ValueError``, because tyro would draw a box around those that options raise.
    """


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM, as ``KeyboardInterrupt`` is by Ctrl-C."""


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Put an option's name before the message of a :class:`UserError`."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{option}: {error}") from error


def cli_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Turn a :class:`UserError`, Ctrl-C or SIGTERM that leaves ``main`` into one line and a status.

    Args:
        main: The body of a command-line program.

    Returns:
        The same function, which exits with status 2 after a ``UserError``, 130 after Ctrl-C, 143
        after SIGTERM, which raises :class:`Terminated` in ``main``, and 141 where nobody reads its
        output any more.
    """

    @wraps(main)
    def guarded() -> None:
        try:
            with _stop_signals_raised():
                main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt as stop:
            print("interrupted; what was finished so far is kept.", file=sys.stderr)
            number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
            sys.exit(128 + number)
        except BrokenPipeError:
            if not _nobody_reads_the_output():
                raise
            # What Python would still write at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + _SIGPIPE)

    return guarded


def _nobody_reads_the_output() -> bool:
    """Whether the reader of standard output, ``head`` for example, has closed it."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


@contextmanager
def _stop_signals_raised() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise, unless they are ignored or somebody else handles them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, _raise_terminated),
    ):
        if signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated
