"""User errors, and how a command-line program reports them and ends."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType

from core.text import printable, without_secrets

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
        The same function, which exits with status 2 after a ``UserError`` or an ``OSError`` that
        names a file, 130 after Ctrl-C, 143 after SIGTERM, which raises :class:`Terminated` in
        ``main``, and 141 where nobody reads its output any more.
    """

    @wraps(main)
    def guarded() -> None:
        _make_streams_writable()
        try:
            with _stop_signals_raised():
                main()
        except UserError as error:
            _report(str(error))
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
        except OSError as error:
            if error.filename is None:
                raise
            _report(describe(error))
            sys.exit(2)

    return guarded


def describe(error: OSError) -> str:
    """Return one sentence on a file or folder that the system does not let a program use."""
    return f"{os.fsdecode(error.filename)}: {error.strerror}; give a path that can be used."


def _report(message: str) -> None:
    print(f"error: {printable(without_secrets(message))}", file=sys.stderr)


def _make_streams_writable() -> None:
    """Let standard output and error escape what they cannot encode, and be there in any case.

    Python has none for a descriptor that was closed; the next file would get its number.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (until the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
