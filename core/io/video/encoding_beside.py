"""A video that another process encodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from core.io.processes.beside import Beside, Items, WriterBeside
from core.io.video.encoding import VideoWriter

_Frames = tuple[np.ndarray, Sequence[float | None]]


class VideoBeside(WriterBeside[_Frames, None]):
    """Write frames as a :class:`VideoWriter` does, which another process enters and leaves.

    Args:
        writer: A video that is not open yet.

    Raises:
        UserError: From :meth:`write_all` or on leaving, what the writer raises.
    """

    def __init__(self, writer: VideoWriter) -> None:
        self.path = writer.path
        self.size = writer.size
        super().__init__(Beside(writer.path.name, _write, writer))

    def write_all(
        self, frames: UInt8[np.ndarray, "t h w 3"], times: Sequence[float | None]
    ) -> None:
        """Append frames, see :meth:`VideoWriter.write_all`."""
        self._process.put((frames, times))


def _write(items: Items[_Frames], writer: VideoWriter) -> None:
    with writer:
        for frames, times in items:
            writer.write_all(frames, times)
