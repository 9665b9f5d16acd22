"""Videos that another process encodes, whose Python then stops nothing in this one."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from jaxtyping import UInt8

from core.checks import UserError
from core.io.video.encoding import VideoWriter

if TYPE_CHECKING:
    from torch import Tensor

_FRAME, _END = b"f", b"e"
_HEAD = struct.Struct("<cd")
"""What follows, and when a frame is shown; NaN for no time."""
_IMPORTED_FROM = Path(__file__).parents[3]


@dataclass(frozen=True)
class _Task:
    """The arguments of a :class:`VideoWriter` as JSON holds them."""

    path: str
    size: tuple[int, int]
    fps: str
    timed: bool
    crf: int
    max_group: int | None

    def writer(self) -> VideoWriter:
        rows, columns = self.size
        return VideoWriter(
            self.path,
            (rows, columns),
            Fraction(self.fps),
            timed=self.timed,
            crf=self.crf,
            max_group=self.max_group,
        )


class RemoteVideoWriter(VideoWriter):
    """A :class:`VideoWriter` that encodes in a process of its own.

    Arguments, file and errors are those of :class:`VideoWriter`; an error may come a few frames
    later. When this process ends without leaving the block, the other one removes the partial file.
    """

    def __enter__(self) -> RemoteVideoWriter:
        task = _Task(
            str(self.path.absolute()),
            self.size,
            str(self._fps),
            self._timed,
            self._crf,
            self._max_group,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(asdict(task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=_IMPORTED_FROM,
        )
        return self

    def write(
        self,
        frame: UInt8[np.ndarray, "h w 3"] | UInt8[Tensor, "h w 3"],
        time: float | None = None,
    ) -> None:
        """Append an RGB frame; see :meth:`VideoWriter.write`."""
        image = self._checked(frame)
        self._send(_HEAD.pack(_FRAME, float("nan") if time is None else time))
        self._send(np.ascontiguousarray(image).data.cast("B"))
        self.num_frames += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        try:
            if error is None:
                self._send(_HEAD.pack(_END, 0.0))
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            message = process.stdout.read()
            process.wait()
        if error is None and process.returncode:
            raise self._problem(message)

    def _send(self, data: bytes | memoryview) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            left = memoryview(data)
            while left:
                left = left[self._process.stdin.write(left) :]
        except BrokenPipeError:
            raise self._problem(self._process.stdout.read()) from None

    def _problem(self, message: bytes) -> UserError:
        return UserError(message.decode() or f"cannot write {self.path}: its encoder has ended.")


def _serve(frames: BinaryIO, task: _Task) -> None:
    """Encode what the other process sends; end with an error if it ends before its last frame."""
    rows, columns = task.size
    with task.writer() as writer:
        while True:
            head = frames.read(_HEAD.size)
            kind, time = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0.0)
            if kind == _END:
                return
            data = frames.read(rows * columns * 3)
            if kind != _FRAME or len(data) < rows * columns * 3:
                raise EOFError
            image = np.frombuffer(data, np.uint8).reshape(rows, columns, 3)
            writer.write(image, None if np.isnan(time) else time)


def main() -> int:
    """Encode the frames of standard input; say on standard output what fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that sends frames
    fields = json.loads(sys.argv[1])
    try:
        _serve(sys.stdin.buffer, _Task(**{**fields, "size": tuple(fields["size"])}))
    except UserError as error:
        sys.stdout.write(str(error))
        return 2
    except EOFError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
