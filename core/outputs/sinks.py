"""Videos and pictures that are drawn while frames are rendered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch

from core.devices import Download
from core.geometry.fit import FrameFit
from core.io import write_png
from core.io.background import Worker
from core.io.video import VideoWriter
from core.models.fast.recording import Recorded
from core.outputs.orbit_view import OrbitView
from core.outputs.pictures import FrameImages, Pictures, depth_pictures, side_by_side_pictures
from core.streaming.reconstruct import RenderedFrame

DrawFrames = Callable[[FrameImages, FrameFit], Pictures]
_WAITING = 16
"""Pictures that may wait for their encoder, so that one that looks ahead stops nothing else."""
_SIDEWAYS = 0.25
"""Place on the orbit, in rounds, at which parallax is largest."""


class FrameSink(Protocol):
    """Takes every frame of a clip in order; holds no more than the newest ones."""

    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Take the next frames, at least one, all of one interval."""
        ...

    def finish(self) -> None:
        """Complete the output; at least one frame was written, none follows."""
        ...


class PictureQueue:
    """Encodes pictures as a video in a background thread, as a context manager.

    Args:
        writer: An open video of the pictures' size; its owner closes it after this.
    """

    def __init__(self, writer: VideoWriter) -> None:
        self.num_frames = 0
        """How many were handed over."""

        def encode(picture: tuple[Download, int, float | None]) -> None:
            pictures, number, time = picture
            writer.write(pictures.result()[number], time)

        self._worker = Worker(encode, _WAITING, writer.path.name)

    def __enter__(self) -> PictureQueue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._worker.__exit__(kind, error, trace)

    def put(self, pictures: Pictures, times: Sequence[float | None]) -> None:
        """Append pictures of any device, each with the time of :meth:`VideoWriter.write`.

        Raises:
            UserError: If one before cannot be encoded or written.
        """
        download = Download(pictures)
        for number, time in enumerate(times):
            self._worker.put((download, number, time))
            self.num_frames += 1


class VideoSink:
    """Draw each frame and append it to a video.

    Args:
        queue: Of an open video of the size that ``draw`` gives; its owner closes it.
        draw: Makes the pictures, see :mod:`core.outputs.pictures`.
        fit: How the clip was fitted to the model.
        timed: Whether frames are shown when the clip shows them, rather than one after the other
            at the video's frame rate.
    """

    def __init__(
        self, queue: PictureQueue, draw: DrawFrames, fit: FrameFit, *, timed: bool = False
    ) -> None:
        self._queue = queue
        self._timed = timed
        self._draw: Callable[[FrameImages], Pictures] = Recorded(
            lambda images: draw(images, fit), plain_calls=1
        )

    @torch.inference_mode()
    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Append the pictures of ``frames``."""
        self._queue.put(self._draw(FrameImages.of(frames)), _times(frames, self._timed))

    def finish(self) -> None:
        """Leave the rest to the owner of the queue."""


class OrbitSink:
    """Render each frame's scene from the next place on an ellipse around the input viewpoint.

    A clip shorter than one round stands still at its end until the round is complete.

    Args:
        queue: Of an open video of the fit's display size; its owner closes it.
        view: Draws the scenes.
        period: Frames of one round, at least 1.
        timed: See :class:`VideoSink`.
    """

    def __init__(
        self, queue: PictureQueue, view: OrbitView, *, period: int, timed: bool = False
    ) -> None:
        self._queue = queue
        self._view = view
        self._period = period
        self._timed = timed
        self._num_started = 0
        self._started: deque[tuple[Callable[[], Pictures], list[float | None]]] = deque()
        self._newest: RenderedFrame | None = None

    @torch.inference_mode()
    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Append the views of the scene at the times of ``frames``."""
        self._newest = frames[-1]
        self._start(frames, _times(frames, self._timed))
        self._put_started(1)  # the device renders one while the host starts the next

    @torch.inference_mode()
    def finish(self) -> None:
        """Complete the round with the clip's last scene."""
        while self._newest is not None and self._num_started < self._period:
            self._start([self._newest], [None])
            self._put_started(1)
        self._put_started(0)

    def _start(self, frames: Sequence[RenderedFrame], times: list[float | None]) -> None:
        places = range(self._num_started, self._num_started + len(times))
        pictures = self._view.start(
            frames[0].interval,
            [frame.time for frame in frames],
            [place / self._period for place in places],
        )
        self._started.append((pictures, times))
        self._num_started += len(times)

    def _put_started(self, but: int) -> None:
        """Hand over what was started, but the last ones."""
        while len(self._started) > but:
            pictures, times = self._started.popleft()
            self._queue.put(pictures(), times)


class OverviewSink:
    """Draw one frame of the clip: input and reconstruction above, depth and a novel view below.

    Args:
        path: The PNG file, written at the end.
        view: Shows the scene from places on an orbit.
        fit: How the clip was fitted to the model.
        index: Which frame is shown; where the clip lacks it the last one before, or its first one.
    """

    def __init__(self, path: Path, view: OrbitView, fit: FrameFit, *, index: int) -> None:
        self._path = path
        self._view = view
        self._fit = fit
        self._index = index
        self._shown: RenderedFrame | None = None

    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Keep the frame to show, or the newest before it."""
        for frame in frames:
            if self._shown is None or frame.index <= self._index:
                self._shown = frame

    @torch.inference_mode()
    def finish(self) -> None:
        """Write the picture."""
        if self._shown is None:
            return
        images = FrameImages.of([self._shown])
        above = side_by_side_pictures(images, self._fit)[0]
        scene = self._view.lift(self._shown.interval, self._shown.time)
        novel = self._view.draw(scene, _SIDEWAYS)
        depth = depth_pictures(images, self._fit)[0]
        below = torch.cat([depth.cpu(), novel], dim=1)
        write_png(self._path, torch.cat([above.cpu(), below]).numpy())


def _times(frames: Sequence[RenderedFrame], timed: bool) -> list[float | None]:
    return [frame.stream_time if timed else None for frame in frames]
