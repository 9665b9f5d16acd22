"""Video files, decoded frame by frame."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import UInt8

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.logging import get_logger

# Readers by which FFmpeg finds "video" in text files and single pictures.
_NOT_VIDEO_FORMATS = ("tty", "image2", "bin", "xbin", "idf", "adf")
# Headers round, and the last frame of a stream of variable rate may have no duration.
_SLACK_FRAMES = 3
_SLACK_SHARE = Fraction(1, 50)
_BT709, _BT601 = 1, 5
_logger = get_logger(__name__)


class VideoSource(FrameSource):
    """The first video stream of a file, turned upright as its rotation metadata says.

    A packet that cannot be decoded is one skipped frame. Where the file breaks off, the walk ends
    with what was decoded until there, and the frames that the header announces beyond are skipped
    ones (estimated from the duration where the header gives no number).

    Raises:
        UserError: If the file cannot be opened as a video, or has no video stream.
    """

    def __init__(self, path: str | Path, *, on_error: OnError = "skip") -> None:
        super().__init__(Path(path), on_error)
        with _open(self.path) as container:
            stream = container.streams.video[0]
            self._fps = stream.average_rate or stream.guessed_rate
            self._announced_frames = stream.frames or None

    @property
    def expected_frames(self) -> int | None:
        """What the header announces; None when it is silent."""
        return self._announced_frames

    @property
    def fps(self) -> Fraction | None:
        """Average frame rate in 1/s; None when the file does not say."""
        return self._fps

    def _decode(self) -> Generator[Frame, None, None]:
        with _open(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            delivered = 0
            for frame in self._decoded(container, stream):
                if frame.is_corrupt:
                    # The decoder patched what it could not read, in grey or from other frames.
                    self._skip_packet("a part of the picture is missing")
                    continue
                index = delivered + self.skipped
                yield Frame(index, f"{index:05d}", _upright(frame))
                delivered += 1
        if self.skipped > 1:
            _logger.warning("%s: %d frames were skipped in all.", self.path, self.skipped)

    def _decoded(
        self, container: InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        time_base = stream.time_base or Fraction(0)
        announced_end = _announced_end(container, stream)
        end, packets = Fraction(0), 0
        for packet in self._demuxed(container, stream):
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * time_base)
                packets += 1
            try:
                if packet.is_corrupt:
                    self._skip_packet(f"the one at {float(end):.2f} s is cut short")
                else:
                    yield from packet.decode()
            except av.error.FFmpegError as error:
                self._skip_packet(_reason(error))
        # After a break the decoder still holds frames that came before it.
        with suppress(av.error.FFmpegError):
            yield from stream.decode(None)

        missing = announced_end - end
        if self._fps and missing > max(_SLACK_FRAMES / self._fps, _SLACK_SHARE * announced_end):
            # Packets come in decoding order, so the gap in time says less than their number.
            start = (stream.start_time or 0) * time_base
            total = self._announced_frames or round((announced_end - start) * self._fps)
            count = max(1, total - packets)
            self._skip(
                f"{self.path} breaks off after {float(end):.1f} of {float(announced_end):.1f} "
                f"seconds; about {count} frames are missing",
                count,
            )

    def _demuxed(self, container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
        """Yield the packets until the end, or until the file can be read no further."""
        try:
            yield from container.demux(stream)
        except av.error.FFmpegError as error:
            self._skip_packet(_reason(error))

    def _skip_packet(self, reason: str) -> None:
        """Skip one packet; a stream that lost its reference frames says so only once."""
        self._skip(f"{self.path}: a packet cannot be decoded: {reason}", quiet=self.skipped > 0)


def _announced_end(container: InputContainer, stream: av.VideoStream) -> Fraction:
    """Return when the video ends by its header, in seconds; 0 when it does not say."""
    if stream.duration:
        return (stream.duration + (stream.start_time or 0)) * (stream.time_base or Fraction(0))
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def _open(path: Path) -> InputContainer:
    try:
        # The prefix keeps FFmpeg from reading a colon in a file's name as a protocol.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"{path} cannot be opened as a video: {_reason(error)}; give a video file "
            "(for example .mp4, .mov, .webm) or a folder of images."
        ) from error
    names = container.format.name.split(",")
    if any(name in _NOT_VIDEO_FORMATS or name.endswith("_pipe") for name in names):
        container.close()
        raise UserError(f"{path} is not a video; give a video file or a folder of images.")
    if not container.streams.video:
        container.close()
        raise UserError(f"{path} has no video stream; give a video file or a folder of images.")
    return container


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


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
