"""Video files, decoded frame by frame."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av.error
from av.container import InputContainer

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.io.reading import one_line_errors, require_regular
from core.io.stills.focal_length import field_of_view_of_video
from core.io.video.clock import FrameClock
from core.io.video.decoding import VideoDecoder
from core.io.video.opening import find_video, is_other_format, open_container, reason_of
from core.logging import get_logger

_logger = get_logger(__name__)


class VideoSource(FrameSource):
    """The video of a file, turned upright as its rotation metadata says.

    A packet that cannot be decoded is one skipped frame. Where the file breaks off, the pass ends
    with what was decoded until there, :attr:`broken_off` says so, and the frames that the header
    announces beyond are skipped ones (estimated from the duration where the header gives no
    number).

    Raises:
        UserError: If the file cannot be opened as a video, or has no video stream.
    """

    def __init__(self, path: str | Path, *, on_error: OnError = "skip") -> None:
        super().__init__(path, on_error)
        self._file = Path(path)
        self._damaged = f"{path} cannot be read as a video; is it damaged?"
        with one_line_errors(self._damaged), _open(self._file) as container:
            stream = find_video(container, str(path))
            self._fps = stream.average_rate or stream.guessed_rate
            self._announced_frames = stream.frames or None
            self._field_of_view = field_of_view_of_video(
                {**container.metadata, **stream.metadata}, stream.width, stream.height
            )

    @property
    def expected_frames(self) -> int | None:
        """What the header announces; None when it is silent."""
        return self._announced_frames

    @property
    def is_timed(self) -> bool:
        """Frames have times."""
        return True

    @property
    def fps(self) -> Fraction | None:
        """Average frame rate in 1/s; None when the file does not say."""
        return self._fps

    @property
    def field_of_view(self) -> float | None:
        """From the focal length that phones note; None when the file does not say."""
        return self._field_of_view

    def _decode(self) -> Generator[Frame, None, None]:
        with one_line_errors(self._damaged), _open(self._file) as container:
            stream = find_video(container, str(self.path))
            decoder = VideoDecoder(container, stream, self._skip_packet)
            clock = FrameClock(self._fps)
            for delivered, frame in enumerate(decoder):
                index = delivered + self.skipped
                yield Frame(index, f"{index:05d}", frame.image, clock.time(frame.stamp))
            if decoder.failure is not None:
                self._skip_packet(reason_of(decoder.failure))
            if decoder.shortfall is not None:
                count, reason = decoder.shortfall
                self._broken_off = f"{self.path} {reason}"
                self._skip(self._broken_off, count)
        if self.skipped > 1:
            _logger.warning("%s: %d frames were skipped in all.", self.path, self.skipped)

    def _skip_packet(self, reason: str) -> None:
        """Skip one packet; a stream that lost its reference frames says so only once."""
        self._skip(f"{self.path}: a packet cannot be decoded: {reason}", quiet=self.skipped > 0)


def _open(path: Path) -> InputContainer:
    try:
        require_regular(path, "video")
        # The prefix keeps FFmpeg from reading a colon in a file's name as a protocol.
        return open_container(f"file:{path}", "file")
    except (av.error.FFmpegError, OSError) as error:
        if is_other_format(error):
            raise UserError(
                f"{path} is not a video; give a video file (no playlist) or a folder of images."
            ) from error
        raise UserError(
            f"{path} cannot be opened as a video: {reason_of(error)}; give a video file "
            "(for example .mp4, .mov, .webm) or a folder of images."
        ) from error
