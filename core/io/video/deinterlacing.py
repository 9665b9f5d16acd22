"""Interlaced frames, made of two moments in alternate rows, become frames of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import av

from core.io.video.filtering import FrameFilter

_BWDIF = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")


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
    filtering: FrameFilter | None = None
    for frame in frames:
        if filtering is None and not frame.interlaced_frame:
            yield frame
            continue
        if filtering is None:
            on_first()
        if filtering is None or not filtering.takes(frame):
            if filtering is not None:
                yield from filtering.push(None)
            filtering = FrameFilter(frame, _BWDIF)
        yield from filtering.push(frame)
    if filtering is not None:
        yield from filtering.push(None)
