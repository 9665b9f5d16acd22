"""A folder, a video or a pipe as a camera would give it."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction

from core.io.frame_source import Frame, FrameSource
from core.io.streams.stream import StreamSource
from core.io.video.encoding import usual_rate


class PacedSource(StreamSource):
    """Any source at its own rate; the newest frame wins.

    Frames come when their times say so, from the first one on; images, which have no times, at 24
    a second.

    Args:
        source: Where the frames come from.
    """

    def __init__(self, source: FrameSource) -> None:
        super().__init__(str(source.path), live=True, on_error=source.on_error)
        self._source = source

    @property
    def is_timed(self) -> bool:
        """Frames have times."""
        return True

    @property
    def fps(self) -> Fraction | None:
        """Average frame rate of the source in 1/s; None where it does not say."""
        return self._source.fps

    @property
    def skipped(self) -> int:
        """Number of frames that could not be decoded."""
        return self._source.skipped

    def _decode(self) -> Generator[Frame, None, None]:
        period = float(1 / usual_rate(self.fps))
        start: float | None = None
        for frame in self._source:
            stamp = period * frame.index if frame.time is None else frame.time
            if start is None:
                start = time.monotonic() - stamp
            time.sleep(max(start + stamp - time.monotonic(), 0))
            yield replace(frame, time=stamp, arrived=time.monotonic())
        self._broken_off = self._source.broken_off
