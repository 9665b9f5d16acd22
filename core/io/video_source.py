"""Video files, decoded frame by frame."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.io.video_decoding import VideoWalk, reason_of
from core.logging import get_logger

# Readers by which FFmpeg finds "video" in text files and single pictures.
_NOT_VIDEO_FORMATS = ("tty", "image2", "bin", "xbin", "idf", "adf")
# Headers round, and the last frame of a stream of variable rate may have no duration.
_SLACK_FRAMES = 3
_SLACK_SHARE = Fraction(1, 50)
_logger = get_logger(__name__)


class VideoSource(FrameSource):
    """The first video stream of a file, turned upright as its rotation metadata says.

    A packet that cannot be decoded is one skipped frame. Where the file breaks off, the walk ends
    with what was decoded until there, :attr:`broken_off` says so, and the frames that the header
    announces beyond are skipped ones (estimated from the duration where the header gives no
    number).

    Raises:
        UserError: If the file cannot be opened as a video, or has no video stream.
    """

    def __init__(self, path: str | Path, *, on_error: OnError = "skip") -> None:
        super().__init__(path, on_error)
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
            announced_end = _announced_end(container)
            walk = VideoWalk(container, self._skip_packet)
            for delivered, image in enumerate(walk):
                index = delivered + self.skipped
                yield Frame(index, f"{index:05d}", image)
            if walk.failure is not None:
                self._skip_packet(walk.failure)
            start = (container.streams.video[0].start_time or 0) * _time_base(container)
            self._miss(walk, start, announced_end)
        if self.skipped > 1:
            _logger.warning("%s: %d frames were skipped in all.", self.path, self.skipped)

    def _miss(self, walk: VideoWalk, start: Fraction, announced_end: Fraction) -> None:
        """Skip the frames that the header announces beyond the end of the walk."""
        missing = announced_end - walk.end
        if self._fps and missing > max(_SLACK_FRAMES / self._fps, _SLACK_SHARE * announced_end):
            # Packets come in decoding order, so the gap in time says less than their number.
            total = self._announced_frames or round((announced_end - start) * self._fps)
            count = max(1, total - walk.packets)
            self._broken_off = (
                f"{self.path} breaks off after {float(walk.end):.1f} of {float(announced_end):.1f} "
                f"seconds; about {count} frames are missing"
            )
            self._skip(self._broken_off, count)

    def _skip_packet(self, reason: str) -> None:
        """Skip one packet; a stream that lost its reference frames says so only once."""
        self._skip(f"{self.path}: a packet cannot be decoded: {reason}", quiet=self.skipped > 0)


def _time_base(container: InputContainer) -> Fraction:
    return container.streams.video[0].time_base or Fraction(0)


def _announced_end(container: InputContainer) -> Fraction:
    """Return when the video ends by its header, in seconds; 0 when it does not say."""
    stream = container.streams.video[0]
    if stream.duration:
        return (stream.duration + (stream.start_time or 0)) * _time_base(container)
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def _open(path: Path | str) -> InputContainer:
    try:
        # The prefix keeps FFmpeg from reading a colon in a file's name as a protocol.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"{path} cannot be opened as a video: {reason_of(error)}; give a video file "
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
