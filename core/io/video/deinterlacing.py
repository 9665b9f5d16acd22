"""Interlaced frames, made of two moments in alternate rows, become frames of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import av
import av.error
from av.filter import Graph


def deinterlace(
    frames: Iterable[av.VideoFrame], on_first: Callable[[], None]
) -> Iterator[av.VideoFrame]:
    """Pass frames on, the interlaced ones by FFmpeg's filter bwdif.

    From the first interlaced frame on each frame waits for the next one, from which the filter
    takes part of its rows. Progressive frames stay as they are.

    Args:
        frames: Decoded frames, in the order in which they are shown.
        on_first: Called when there is an interlaced frame.
    """
    filtering: _Filter | None = None
    for frame in frames:
        if filtering is None and not frame.interlaced_frame:
            yield frame
            continue
        if filtering is None:
            on_first()
        if filtering is None or not filtering.takes(frame):
            if filtering is not None:
                yield from filtering.push(None)
            filtering = _Filter(frame)
        yield from filtering.push(frame)
    if filtering is not None:
        yield from filtering.push(None)


class _Filter:
    """A graph for frames of one size and format."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._kind = (frame.width, frame.height, frame.format.name)
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base,
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        self._sink = self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(self._sink)
        self._graph.configure()
        self._source = source

    def takes(self, frame: av.VideoFrame) -> bool:
        return self._kind == (frame.width, frame.height, frame.format.name)

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Put in a frame, or None at the end, and yield what comes out."""
        self._source.push(frame)
        while True:
            try:
                yield self._sink.pull()  # pyright: ignore[reportReturnType] (a video's sink)
            except (av.error.BlockingIOError, av.error.EOFError):
                return
