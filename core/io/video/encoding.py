"""Video files out, and short ones in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from core.checks import UserError
from core.io.atomic import atomic_path
from core.io.video.rates import MAX_FPS, MIN_FPS
from core.io.video.threads import few_threads
from core.logging import get_logger, warn_once

if TYPE_CHECKING:
    from torch import Tensor

    from core.io.frame_source import OnError

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "mpeg4")
_CRF = 16
_X264 = {
    "preset": "veryfast",
    "partitions": "i8x8",
    "trellis": "1",
    "aq-strength": "0.8",
    "chromaoffset": "-1",
}
"""Less than two fifths of what the default, "medium", computes, at its PSNR for 7 to 10 % more
bytes."""
_X264_THREADS = 4
"""Frames that are encoded at once: as many on any machine, for it may change a file's bytes. Slices
of a frame, PyAV's default, take 5 % more bytes on 16 cores."""
_FINE_TIME_BASE = Fraction(1, 60_000)
"""Of frames with times of their own, seconds: 24, 25, 29.97, 30, 50 and 60/s are whole numbers of
it, and MPEG-4 cannot count much finer."""
_ONE_THREAD = few_threads(1)
"""For conversion: encoders have threads enough."""
_BT709 = 1
_LIMITED_RANGE = 1
_logger = get_logger(__name__)


class VideoWriter:
    """Write frames to an H.264 video that browsers play, as a context manager.

    4:2:0 chroma needs even sides: an odd one is padded by repeating the last row or column. The
    file is written beside ``path`` and takes its place when the block ends well; when it raises,
    the partial file is removed and what was at ``path`` stays. Where PyAV comes without x264 the
    next best encoder is used, and a warning names it.

    Args:
        path: Ends in .mp4, .m4v, .mov or .mkv.
        size: Height and width of the frames.
        fps: Frames per second, from 0.01 to 1000.
        timed: Whether frames come with the times at which they are shown.
        crf: Constant rate factor of x264, 0 to 51: six more is about half the size.
        max_group: Most frames from one that can be decoded by itself to the next, fewer for faster
            seeking; by default the encoder's choice.

    Raises:
        UserError: On entering, if the suffix, the size or the frame rate cannot be used or the
            file cannot be written; on leaving, if no frame was written.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        fps: float | Fraction,
        *,
        timed: bool = False,
        crf: float = _CRF,
        max_group: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.num_frames = 0
        self._timed, self._crf, self._max_group = timed, crf, max_group
        if self.path.suffix.lower() not in _CONTAINERS:
            raise UserError(f"cannot write {self.path}: name a file in {', '.join(_CONTAINERS)}.")
        if min(size) < 1:
            raise UserError(f"cannot write {self.path}: frames of {size[1]} x {size[0]} pixels.")
        if not MIN_FPS <= fps <= MAX_FPS:
            raise UserError(
                f"cannot write {self.path} at {fps} frames per second; choose a rate from "
                f"{MIN_FPS} to {MAX_FPS}."
            )
        self._fps = Fraction(fps).limit_denominator(1001)
        self._time_base = _FINE_TIME_BASE if timed else 1 / self._fps
        self._frame_ticks = max(1, round(1 / self._fps / self._time_base))
        self._first_time: float | None = None
        self._last_tick = -1
        self._last_duration = self._frame_ticks
        self._first_dts: int | None = None

    def __enter__(self) -> VideoWriter:
        # What cannot be sent to another process begins here.
        self._reformatter = VideoReformatter()
        rows, columns = (side + side % 2 for side in self.size)
        self._rgb = av.VideoFrame(columns, rows, "rgb24")
        with ExitStack() as stack:
            partial = stack.enter_context(atomic_path(self.path))
            container = _CONTAINERS[self.path.suffix.lower()]
            options = {} if container == "matroska" else {"movflags": "faststart"}
            self._container = stack.enter_context(
                av.open(f"file:{partial}", "w", format=container, options=options)
            )
            self._stream = self._add_stream(_choose_encoder())
            self._stack = stack.pop_all()
        return self

    def write(
        self,
        frame: UInt8[np.ndarray, "h w 3"] | UInt8[Tensor, "h w 3"],
        time: float | None = None,
    ) -> None:
        """Append an RGB frame.

        Args:
            frame: The frame.
            time: When it is shown, seconds from any zero, later than the one before, in a video
                that is ``timed``; by default one frame's duration after the one before.

        Raises:
            ValueError: If it is not uint8 of the size that was announced.
            UserError: If it cannot be encoded or written, for example because the disk is full.
        """
        self._fill(self._checked(frame))
        picture = self._reformatter.reformat(
            self._rgb,
            format="yuv420p",
            dst_colorspace=_BT709,
            dst_color_range=_LIMITED_RANGE,
            **_ONE_THREAD,
        )
        picture.time_base = self._time_base
        tick = self._tick(time)
        # The last frame lasts as long as the one before, where that is not a pause.
        if self.num_frames:
            self._last_duration = min(self._frame_ticks, tick - self._last_tick)
        picture.pts = self._last_tick = tick
        self._mux(picture)
        self.num_frames += 1

    def write_all(
        self, frames: UInt8[np.ndarray, "t h w 3"], times: Sequence[float | None]
    ) -> None:
        """Append several frames, each as :meth:`write` does."""
        for frame, time in zip(frames, times, strict=True):
            self.write(frame, time)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self.num_frames == 0:
                raise UserError(f"{self.path} was not written: there is no frame to put in it.")
            self._mux(None)
            try:
                self._container.close()
            except (av.error.FFmpegError, OSError) as problem:
                raise UserError(self._failure(problem)) from problem

    def _checked(
        self, frame: UInt8[np.ndarray, "h w 3"] | UInt8[Tensor, "h w 3"]
    ) -> UInt8[np.ndarray, "h w 3"]:
        image = frame if isinstance(frame, np.ndarray) else frame.detach().cpu().numpy()
        if image.dtype != np.uint8 or image.shape != (*self.size, 3):
            raise ValueError(
                f"VideoWriter.write: got {image.dtype} of shape {image.shape}; expected uint8 of "
                f"shape {(*self.size, 3)}."
            )
        return image

    def _fill(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Copy a frame, by NumPy, during which other threads of Python run."""
        (plane,) = self._rgb.planes
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        height, width = self.size
        pixels = rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)
        pixels[:height, :width] = image
        pixels[height:, :width] = pixels[height - 1 : height, :width]
        pixels[:, width:] = pixels[:, width - 1 : width]

    def _tick(self, time: float | None) -> int:
        """Return when the next frame is shown, in units of the time base."""
        if time is None:
            return self._last_tick + self._frame_ticks if self.num_frames else 0
        if self._first_time is None:
            self._first_time = time
        since = time - self._first_time
        return max(round(since / self._time_base), self._last_tick + 1)

    def _add_stream(self, encoder: str) -> VideoStream:
        height, width = self.size
        stream = self._container.add_stream(encoder, rate=self._fps)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = self._time_base
        stream.codec_context.colorspace = _BT709
        stream.codec_context.color_primaries = _BT709
        stream.codec_context.color_trc = _BT709
        stream.codec_context.color_range = _LIMITED_RANGE
        if self._max_group is not None:
            stream.gop_size = self._max_group
        if encoder == "libx264":
            stream.options = {**_X264, "crf": str(self._crf)}
            stream.codec_context.thread_type = "FRAME"
            stream.codec_context.thread_count = _X264_THREADS
        else:
            stream.bit_rate = int(height * width * float(self._fps) * 0.2)
        return stream

    def _mux(self, picture: av.VideoFrame | None) -> None:
        try:
            packets = self._stream.encode(picture)
            if packets and self._first_dts is None:
                self._first_dts = packets[0].dts
            if picture is None and packets and self._container.format.name != "matroska":
                # MP4 ends with the last packet, which may be of an earlier frame: it lasts longer.
                before = (packets[-1].dts or 0) - (self._first_dts or 0)
                end = self._last_tick + self._last_duration
                packets[-1].duration = max(end - before, 1)
            self._container.mux(packets)
        except (av.error.FFmpegError, OSError) as error:
            raise UserError(self._failure(error)) from error

    def _failure(self, error: Exception) -> str:
        return f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}."


def usual_rate(fps: Fraction | None) -> Fraction:
    """Return a source's frame rate where a video can have it, and else 24/s."""
    return fps if fps is not None and MIN_FPS <= fps <= MAX_FPS else Fraction(24)


def read_video(path: str | Path, *, on_error: OnError = "raise") -> UInt8[np.ndarray, "t h w 3"]:
    """Read a whole video into memory; for short ones; :class:`VideoSource` iterates over long ones.

    Raises:
        UserError: If the file is not a video, or (unless ``on_error`` is ``"skip"``) is damaged.
    """
    from core.io.video.source import VideoSource  # decodes, which writing does not need

    return np.stack([frame.image for frame in VideoSource(path, on_error=on_error)])


def _choose_encoder() -> str:
    chosen = next((name for name in _ENCODERS if name in av.codecs_available), None)
    if chosen is None:
        raise UserError("this build of PyAV has no video encoder; install the wheel from PyPI.")
    if chosen != _ENCODERS[0]:
        warn_once(
            _logger,
            f"this build of PyAV lacks {_ENCODERS[0]}; videos are encoded with {chosen}"
            + ("." if "264" in chosen else ", which browsers may not play."),
        )
    return chosen
