"""Pictures out of an open container of FFmpeg's, whatever it reads from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import UInt8

_BT709, _BT601 = 1, 5


class VideoWalk:
    """One pass over the first video stream of a container.

    Iterating yields the frames, RGB and upright as the rotation metadata says. A packet that cannot
    be decoded, or gives a picture with holes, goes through ``skip``. Where the container can be
    read no further the walk ends, and :attr:`failure` says why.

    Args:
        container: Open, with a video stream; its owner closes it.
        skip: Told why a packet is left out.
    """

    def __init__(self, container: InputContainer, skip: Callable[[str], None]) -> None:
        self._container = container
        self._skip = skip
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.end = Fraction(0)
        """Where the packets so far end, in seconds."""
        self.packets = 0
        """How many packets with a time there were."""
        self.failure: str | None = None
        """Why reading stopped before the end; None where it did not."""

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for frame in self._decoded():
            if frame.is_corrupt:
                # The decoder patched what it could not read, in grey or from other frames.
                self._skip("a part of the picture is missing")
            else:
                yield _upright(frame)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        time_base = self._stream.time_base or Fraction(0)
        for packet in self._demuxed():
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * time_base
                self.end = max(self.end, end)
                self.packets += 1
            try:
                if packet.is_corrupt:
                    self._skip(f"the one at {float(self.end):.2f} s is cut short")
                else:
                    yield from packet.decode()
            except av.error.FFmpegError as error:
                self._skip(reason_of(error))
        # After a break the decoder still holds frames that came before it.
        with suppress(av.error.FFmpegError):
            yield from self._stream.decode(None)

    def _demuxed(self) -> Iterator[av.Packet]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            self.failure = reason_of(error)


def reason_of(error: Exception) -> str:
    """Return what FFmpeg or the system says of an error, without its number."""
    return getattr(error, "strerror", None) or str(error)


def _upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Convert to RGB and apply the quarter turns and mirrors of the display matrix."""
    if frame.colorspace == _BT709:
        # Said outright, and to another one, because PyAV before 17 took every video for BT.601.
        frame_rgb = frame.reformat(
            format="rgb24",
            src_colorspace=_BT709,
            dst_colorspace=_BT601,
            src_color_range=frame.color_range,
        )
        image = frame_rgb.to_ndarray()
    else:
        image = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    # A pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift (ISO 14496-12, 6.2.2).
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5]
    if abs(b) > abs(a):
        image = image.transpose(1, 0, 2)
        flip_rows, flip_columns = b < 0, c < 0
    else:
        flip_rows, flip_columns = d < 0, a < 0
    image = image[::-1] if flip_rows else image
    image = image[:, ::-1] if flip_columns else image
    return np.ascontiguousarray(image)
