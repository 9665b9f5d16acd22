"""Video files, decoded frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import UInt8

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError

# Readers by which FFmpeg finds "video" in text files and single pictures.
_NOT_VIDEO_FORMATS = ("tty", "image2", "bin", "xbin", "idf", "adf")


class VideoSource(FrameSource):
    """The first video stream of a file, turned upright as its rotation metadata says.

    A packet that cannot be decoded is one skipped frame; where the file breaks off, the walk ends
    with what was decoded until there, and the break counts as one.

    Raises:
        UserError: If the file cannot be opened as a video, or has no video stream.
    """

    def __init__(self, path: str | Path, *, on_error: OnError = "skip") -> None:
        super().__init__(Path(path), on_error)
        with _open(self.path) as container:
            stream = container.streams.video[0]
            self._fps = stream.average_rate or stream.guessed_rate
            self._claimed_frames = stream.frames or None

    @property
    def expected_frames(self) -> int | None:
        """What the header claims; None when it is silent."""
        return self._claimed_frames

    @property
    def fps(self) -> Fraction | None:
        """Average frame rate in 1/s; None when the file does not say."""
        return self._fps

    def _decode(self) -> Iterator[Frame]:
        with _open(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(self._decoded(container, stream)):
                yield Frame(index, f"{index:05d}", _upright(frame))

    def _decoded(
        self, container: InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self._skip(f"{self.path} breaks off: {_reason(error)}")
                break
            if packet.is_corrupt:
                self._skip(f"{self.path}: the packet at {packet.pts} is damaged or cut short")
                continue
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self._skip(f"{self.path}: a packet cannot be decoded: {_reason(error)}")
        # The decoder still holds frames that came before the break.
        yield from stream.decode(None)


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
