"""A video that another process encodes."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from core.io.beside import Beside, Items
from core.io.video.encoding import VideoWriter

_Frames = tuple[np.ndarray, Sequence[float | None]]


class VideoBeside:
    """Write frames as a :class:`VideoWriter` does, which another process enters and leaves.

    Args:
        writer: A video that is not open yet.

    Raises:
        UserError: From :meth:`write_all` or on leaving, what the writer raises.
    """

    def __init__(self, writer: VideoWriter) -> None:
        self.path = writer.path
        self.size = writer.size
        self._process: Beside[_Frames, None] = Beside(writer.path.name, _write, writer)

    def __enter__(self) -> VideoBeside:
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
                self._process.finish()
        finally:
            self._process.__exit__(kind, error, trace)

    def write_all(
        self, frames: UInt8[np.ndarray, "t h w 3"], times: Sequence[float | None]
    ) -> None:
        """Append frames, see :meth:`VideoWriter.write_all`."""
        self._process.put((frames, times))


def _write(items: Items[_Frames], writer: VideoWriter) -> None:
    with writer:
        for frames, times in items:
            writer.write_all(frames, times)
