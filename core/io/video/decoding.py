"""Frames of an open FFmpeg container, from a file or a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8

from core.io.stills.size_limit import check_size, largest_pixels
from core.io.video.color import ColorTags, RgbConverter
from core.io.video.damage_trace import DamageTrace
from core.io.video.deinterlacing import deinterlace
from core.io.video.opening import reason_of
from core.logging import get_logger, warn_once

_MOST_ASPECT = 8
"""Width of a pixel by its height, or the reverse, beyond which the header is taken for damaged."""
# Headers round, and the last frame of a stream of variable rate may have no duration.
_SLACK_FRAMES = 3
_SLACK_SHARE = Fraction(1, 50)

_logger = get_logger(__name__)
_CONSEQUENCE = "what builds on it is left out, up to the next key frame"


@dataclass(frozen=True)
class DecodedFrame:
    """One frame as it is shown."""

    image: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""
    stamp: Fraction | None
    """Its time stamp in seconds, from any zero; None where it has none."""


class VideoDecoder:
    """One pass over a video stream of a container.

    Iterating yields the frames: RGB of BT.709, of square pixels, progressive, and upright as the
    rotation metadata says. A packet that cannot be decoded, or gives a picture with holes, goes
    through ``skip``, and so does each frame that builds on it, up to the next key frame. Where the
    container can be read no further the pass ends, and :attr:`failure` says why.

    Args:
        container: Open; its owner closes it.
        stream: The video, see :func:`core.io.video.opening.find_video`.
        skip: Called with the reason why a packet is left out.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, skip: Callable[[str], None]
    ) -> None:
        self._container = container
        self._skip = skip
        self._stream = stream
        self._stream.thread_type = "AUTO"
        self.end = Fraction(0)
        """Where the packets so far end, in seconds."""
        self.packets = 0
        """How many packets with a time there were."""
        self.failure: Exception | None = None
        """What stopped reading before the end; None where nothing did."""
        self._aspect = _pixel_aspect(stream)
        self._to_rgb = RgbConverter(
            ColorTags(stream.codec_context.color_primaries, stream.codec_context.color_trc)
        )
        self._announced_end = _announced_end(container, stream)
        self._damage = DamageTrace()
        codec = self._stream.codec_context
        # A frame may be larger than its container says.
        options = {"max_pixels": str(largest_pixels())}
        if codec.name == "mjpeg":
            # FFmpeg otherwise fills a JPEG that is cut short, as cameras on a bad line send them.
            options["err_detect"] = "explode"
        codec.options = options
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

    def __iter__(self) -> Iterator[DecodedFrame]:
        for frame in deinterlace(self._whole_frames(), self._say_interlaced):
            stamp = None if frame.pts is None else frame.pts * (frame.time_base or Fraction(0))
            image = self._to_rgb(frame)
            yield DecodedFrame(_upright(_square_pixels(image, self._aspect), frame), stamp)

    def _whole_frames(self) -> Iterator[av.VideoFrame]:
        for frame, is_whole in self._classified():
            if frame.is_corrupt:
                # The decoder patched what it could not read, in grey or from other frames.
                self._skip(f"a part of the picture is missing{self._consequence}")
            elif not is_whole:
                self._skip("its picture builds on a damaged one")
            else:
                self._skip_withheld()
                yield frame
        self._skip_withheld(at_end=True)

    def _say_interlaced(self) -> None:
        warn_once(_logger, "the video is interlaced; its frames are deinterlaced.")

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
        except (av.error.FFmpegError, OSError) as error:
            self.failure = error


def _announced_end(container: InputContainer, stream: VideoStream) -> Fraction:
    """Return when the video ends by its header, in seconds; 0 when it does not say."""
    if stream.duration:
        return (stream.duration + (stream.start_time or 0)) * (stream.time_base or Fraction(0))
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def _square_pixels(
    image: UInt8[np.ndarray, "h w 3"], aspect: Fraction
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Stretch a picture whose pixels are ``aspect`` times as wide as high; none are lost."""
    if aspect == 1:
        return image
    height, width = image.shape[:2]
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    check_size(height, width, "a frame of square pixels")
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _pixel_aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT else Fraction(1)


def _upright(
    image: UInt8[np.ndarray, "h w 3"], frame: av.VideoFrame
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Apply the quarter turns and mirrors of the frame's display matrix."""
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
