"""Frames of an open FFmpeg container, from a file or a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import UInt8

from core.io.video.damage_trace import DamageTrace

_BT709, _BT601 = 1, 5
# Headers round, and the last frame of a stream of variable rate may have no duration.
_SLACK_FRAMES = 3
_SLACK_SHARE = Fraction(1, 50)

_CONSEQUENCE = "what builds on it is left out, up to the next key frame"


class VideoDecoder:
    """One pass over the first video stream of a container.

    Iterating yields the frames, RGB and upright as the rotation metadata says. A packet that cannot
    be decoded, or gives a picture with holes, goes through ``skip``, and so does each frame that
    builds on it, up to the next key frame. Where the container can be read no further the pass
    ends, and :attr:`failure` says why.

    Args:
        container: Open, with a video stream; its owner closes it.
        skip: Called with the reason why a packet is left out.
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
        self.failure: av.error.FFmpegError | None = None
        """What stopped reading before the end; None where nothing did."""
        self._announced_end = _announced_end(container)
        self._damage = DamageTrace()
        codec = self._stream.codec_context
        if codec.name == "mjpeg":
            # FFmpeg otherwise fills a JPEG that is cut short, as cameras on a bad line send them.
            codec.options = {"err_detect": "explode"}
        self._consequence = "" if codec.codec.intra_only else f"; {_CONSEQUENCE}"

    @property
    def shortfall(self) -> tuple[int, str] | None:
        """About how many frames the header announces beyond the end of the pass, and a message."""
        stream = self._stream
        fps = stream.average_rate or stream.guessed_rate
        missing = self._announced_end - self.end
        if not fps or missing <= max(_SLACK_FRAMES / fps, _SLACK_SHARE * self._announced_end):
            return None
        # Packets come in decoding order, so the gap in time says less than their number.
        start = (stream.start_time or 0) * (stream.time_base or Fraction(0))
        total = stream.frames or round((self._announced_end - start) * fps)
        count = max(1, total - self.packets)
        return count, (
            f"breaks off after {float(self.end):.1f} of {float(self._announced_end):.1f} seconds; "
            f"about {count} frames are missing"
        )

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for frame, is_whole in self._classified():
            if frame.is_corrupt:
                # The decoder patched what it could not read, in grey or from other frames.
                self._skip(f"a part of the picture is missing{self._consequence}")
            elif not is_whole:
                self._skip("its picture builds on a damaged one")
            else:
                self._skip_withheld()
                yield _upright(frame)
        self._skip_withheld(at_end=True)

    def _skip_withheld(self, *, at_end: bool = False) -> None:
        for _ in range(self._damage.take_withheld(at_end=at_end)):
            self._skip("the decoder gives no picture")

    def _classified(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        for frame in self._decoded():
            yield from self._damage.add_frame(frame)
        yield from self._damage.flush()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        time_base = self._stream.time_base or Fraction(0)
        for packet in self._demuxed():
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * time_base
                self.end = max(self.end, end)
                self.packets += 1
            if packet.size:
                self._damage.add_packet(packet)
            try:
                if packet.is_corrupt:
                    self._damage.add_damaged_packet()
                    cut = f"the one at {float(self.end):.2f} s is cut short"
                    self._skip(cut + self._consequence)
                else:
                    yield from packet.decode()
            except av.error.FFmpegError as error:
                self._damage.add_error()
                self._skip(reason_of(error) + self._consequence)
        # After a break the decoder still holds frames that came before it.
        with suppress(av.error.FFmpegError):
            yield from self._stream.decode(None)

    def _demuxed(self) -> Iterator[av.Packet]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            self.failure = error


def _announced_end(container: InputContainer) -> Fraction:
    """Return when the video ends by its header, in seconds; 0 when it does not say."""
    stream = container.streams.video[0]
    if stream.duration:
        return (stream.duration + (stream.start_time or 0)) * (stream.time_base or Fraction(0))
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def reason_of(error: Exception) -> str:
    """Return FFmpeg's or the system's message of an error, without its number."""
    if isinstance(error, av.error.ExitError):
        return "nothing came in time"
    return getattr(error, "strerror", None) or str(error)


def _upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Convert to RGB and apply the quarter turns and mirrors of the display matrix."""
    if frame.colorspace == _BT709:
        # Explicitly, and to another one, because PyAV before 17 took every video for BT.601.
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
