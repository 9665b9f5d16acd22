"""Video files, decoded frame by frame."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av.error
from av.container import InputContainer

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.io.video.container import open_container
from core.io.video.decoding import VideoDecoder, reason_of
from core.logging import get_logger

# Readers by which FFmpeg finds "video" in text files and single pictures.
_NOT_VIDEO_FORMATS = ("tty", "image2", "bin", "xbin", "idf", "adf")
_logger = get_logger(__name__)


class VideoSource(FrameSource):
    """The first video stream of a file, turned upright as its rotation metadata says.

    A packet that cannot be decoded is one skipped frame. Where the file breaks off, the pass ends
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
            decoder = VideoDecoder(container, self._skip_packet)
            for delivered, image in enumerate(decoder):
                index = delivered + self.skipped
                yield Frame(index, f"{index:05d}", image)
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


def _open(path: Path | str) -> InputContainer:
    try:
        # The prefix keeps FFmpeg from reading a colon in a file's name as a protocol.
        container = open_container(f"file:{path}")
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
