"""Work in another process, which neither holds nor waits for this one's Python lock.

Beside a GPU the host's threads take turns for that lock thousands of times a second, and each turn
costs more than most of their steps; processes share nothing but cores.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from pkgutil import resolve_name
from traceback import print_exc
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from core.checks import UserError

T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W", bound="WriterBeside[Any, Any]")

_LEAST_CORES = 8
_IMPORTED_FROM = Path(__file__).parents[3]
_PATIENCE_S = 5.0
"""How long a process that was given up may take to end by itself."""
_PIPE_BYTES = 1 << 20
_COUNT = struct.Struct("<I")
_SIZE = struct.Struct("<Q")


def pays_beside(device_type: str) -> bool:
    """Whether processes beside a program that computes on such a device find cores to run on."""
    cores = os.cpu_count() or 1
    return device_type == "cuda" and cores >= _LEAST_CORES and os.name == "posix"


class GivenUpError(Exception):
    """Raised by :class:`Items`: the program has ended, or gave up what the process makes."""


class Items(Generic[T]):
    """What the program hands over, in order, until it has handed over everything."""

    def __init__(self, pipe: FileIO) -> None:
        self._pipe = pipe

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            item: Any = _receive(self._pipe)
        except EOFError as error:
            raise GivenUpError from error
        if item is None:
            raise StopIteration
        return item

    def is_next_there(self, seconds: float) -> bool:
        """Wait so long at most for the next item, or the end; the one before was taken.

        A copy of the process may ask, too.

        Raises:
            GivenUpError: If neither will come.
        """
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        events = poll.poll(1000 * seconds)
        if events and not events[0][1] & select.POLLIN:
            raise GivenUpError
        return bool(events)


class Beside(Generic[T, R]):
    """Runs a function over items in another process, as a context manager.

    The process ends with the block, at once if nothing was handed over, and with this process,
    however that ends. Ctrl-C reaches this process only.

    Args:
        name: What is made, for messages.
        function: Of a module, as are the types of all that passes; or its name, as
            ``package.module:function``, where this process should not import it. It is called with
            the items, none of which is None, and ``arguments``. What it raises is raised here.
        arguments: Further ones.
    """

    def __init__(self, name: str, function: Callable[..., R] | str, *arguments: object) -> None:
        self._name = name
        self._call = (function, arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._has_put = False
        self._answer: tuple[bool, Any] | None = None
        """Whether the function has raised, and what it has raised or returned."""

    def __enter__(self) -> Beside[T, R]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=_IMPORTED_FROM,
            start_new_session=True,
        )
        _widen(self._to)
        with suppress(BrokenPipeError):  # the next item meets it again
            _send(self._to, (Path.cwd(), *self._call))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        if not self._has_put:
            process.kill()  # it may still import what it needs
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # copies of it, too
            process.wait()
        process.stdout.close()

    def put(self, item: T) -> None:
        """Hand over the next item; wait while the process does not take it.

        Raises what the function has raised, and UserError if the process is gone.
        """
        self._has_put = True
        try:
            _send(self._to, item)
        except BrokenPipeError:
            self._result()
            raise self._gone() from None

    def finish(self) -> R:
        """Say that all items were handed over; wait for what the function returns or raises."""
        self._has_put = True
        with suppress(BrokenPipeError):
            _send(self._to, None)
        return self._result()

    @property
    def _to(self) -> FileIO:
        assert self._process is not None, "only within the block"
        assert isinstance(self._process.stdin, FileIO)
        return self._process.stdin

    def _result(self) -> R:
        assert self._process is not None, "only within the block"
        assert isinstance(self._process.stdout, FileIO)
        if self._answer is None:
            try:
                self._answer = _receive(self._process.stdout)
            except EOFError:
                self._answer = (True, self._gone())
        answer: Any = self._answer
        raised, value = answer
        if raised:
            raise value
        return value

    def _gone(self) -> UserError:
        assert self._process is not None
        return UserError(
            f"the process that makes {self._name} has ended with status {self._process.wait()}; "
            "was it killed for want of memory?"
        )


class WriterBeside(Generic[T, R]):
    """A file that a process writes, as a context manager: it is finished if the block is.

    Args:
        process: Writes what it is handed.
    """

    def __init__(self, process: Beside[T, R]) -> None:
        self._process = process

    def __enter__(self: W) -> W:
        self._process.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.close()
        finally:
            self._process.__exit__(kind, error, trace)

    def close(self) -> None:
        """Wait for the end of the file."""
        self._process.finish()


def _send(pipe: FileIO, item: object) -> None:
    """Write an item; buffers of arrays are not copied on the way to the pipe."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    sizes = b"".join(_SIZE.pack(part.nbytes) for part in parts)
    for part in (memoryview(_COUNT.pack(len(parts)) + sizes), *parts):
        rest = part
        while rest.nbytes:
            rest = rest[pipe.write(rest) :]


def _receive(pipe: FileIO) -> Any:
    """Read an item.

    Raises:
        EOFError: If the pipe ends before the item does.
    """
    (count,) = _COUNT.unpack(_read(pipe, _COUNT.size))
    sizes = [size for (size,) in _SIZE.iter_unpack(_read(pipe, count * _SIZE.size))]
    head, *buffers = (_read(pipe, size) for size in sizes)
    return pickle.loads(head, buffers=buffers)


def _read(pipe: FileIO, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest.nbytes:
        count = pipe.readinto(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data


def _widen(pipe: FileIO) -> None:
    """Let a pipe hold more, so that its ends change places less often."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # beyond what a user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def serve() -> NoReturn:
    """Run the function that is handed over; in the other process."""
    answers, items = FileIO(os.dup(1), "wb"), FileIO(os.dup(0), "rb")
    os.dup2(2, 1)  # what libraries print is no answer
    status = 1
    with suppress(EOFError, GivenUpError, BrokenPipeError):
        folder, function, arguments = _receive(items)
        os.chdir(folder)
        try:
            if isinstance(function, str):
                function = resolve_name(function)
            answer = (False, function(Items(items), *arguments))
        except GivenUpError:
            raise
        except UserError as error:
            answer = (True, error)
        except Exception as error:
            print_exc()  # which does not travel
            answer = (True, error)
        _send(answers, answer)
        status = 0
    os._exit(status)  # without waiting for threads


if __name__ == "__main__":
    from core.io.processes import beside  # the module whose types others import

    beside.serve()
