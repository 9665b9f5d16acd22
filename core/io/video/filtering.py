"""Decoded frames through FFmpeg's filters."""

from __future__ import annotations

from collections.abc import Iterator

import av
import av.error
from av.filter import Graph


class FrameFilter:
    """A chain of filters for frames of one size and format.

    Args:
        frame: One of the frames.
        filters: Names and arguments, as FFmpeg writes them.
    """

    def __init__(self, frame: av.VideoFrame, *filters: tuple[str, str]) -> None:
        self._kind = _kind(frame)
        self._graph = Graph()
        self._source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base,
        )
        last = self._source
        for name, arguments in filters:
            following = self._graph.add(name, arguments)
            last.link_to(following)
            last = following
        self._sink = self._graph.add("buffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def takes(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame is of the size and format."""
        return self._kind == _kind(frame)

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Put in a frame, or None at the end, and yield what comes out."""
        self._source.push(frame)
        while True:
            try:
                yield self._sink.pull()  # pyright: ignore[reportReturnType] (a video's sink)
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
