"""Videos and pictures that are drawn while frames are rendered."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
from jaxtyping import UInt8
from torch import Tensor

from core.devices import Download
from core.geometry.fit import FrameFit
from core.io import write_png
from core.io.background import Worker
from core.io.video import VideoWriter
from core.io.video.encoding_beside import VideoBeside
from core.outputs.pictures import FrameImages, Pictures, depth_pictures, side_by_side_pictures
from core.outputs.sinks.metrics import MetricsSink
from core.outputs.views.orbit import OrbitView
from core.recording import Recorded
from core.streaming.reconstruct import RenderedFrame

DrawFrames = Callable[[FrameImages, FrameFit], Pictures]
_WAITING = 8
"""Sets of pictures that may wait for their encoder: one that looks ahead stops nothing else."""
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

    def __init__(self, writer: VideoWriter | VideoBeside) -> None:
        self.size = writer.size
        """Height and width of the pictures."""

        def encode(item: tuple[Callable[[], Pictures], Sequence[float | None]]) -> None:
            pictures, times = item
            writer.write_all(pictures().numpy(), times)

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

    def put(self, pictures: Callable[[], Pictures], times: Sequence[float | None]) -> None:
        """Append pictures, each with the time of :meth:`VideoWriter.write`.

        Args:
            pictures: Called in the thread; waits for a device and returns them, on the host.
            times: One for each.

        Raises:
            UserError: If one before cannot be encoded or written.
        """
        self._worker.put((pictures, times))


@dataclass(frozen=True)
class FrameVideo:
    """A video with a picture of every frame."""

    queue: PictureQueue
    """Of an open video of the size that ``draw`` gives; its owner closes it."""
    draw: DrawFrames
    """Makes the pictures, see :mod:`core.outputs.pictures`."""
    timed: bool
    """Whether frames are shown when the clip shows them, rather than one after the other at the
    video's frame rate."""


class FramesSink:
    """Draw each frame for several videos and score it: on CUDA one recording and one copy.

    Args:
        videos: Where the pictures go.
        metrics: Takes the scores.
        fit: How the clip was fitted to the model.
    """

    def __init__(self, videos: Sequence[FrameVideo], metrics: MetricsSink, fit: FrameFit) -> None:
        self._videos = videos
        self._metrics = metrics
        self._fit = fit
        self._bytes: Callable[[FrameImages], Tensor] = Recorded(self._draw, plain_calls=1)

    @torch.inference_mode()
    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Append the pictures and scores of ``frames``."""
        drawn = Download(self._bytes(FrameImages.of(frames)))
        count, start = len(frames), 0

        def part(shape: tuple[int, ...], dtype: torch.dtype) -> Callable[[], Tensor]:
            """Return what waits for the next values of such a shape, and gives them."""
            nonlocal start
            here = slice(start, start + dtype.itemsize * math.prod(shape))
            start = here.stop
            return lambda: drawn.result()[here].view(dtype).view(shape)

        self._metrics.put(frames, part((count, 4), torch.float32))
        for video in self._videos:
            pictures = part((count, *video.queue.size, 3), torch.uint8)
            video.queue.put(pictures, _times(frames, video.timed))

    def _draw(self, images: FrameImages) -> UInt8[Tensor, " bytes"]:
        """Return the scores, then the pictures of each video, as bytes."""
        scores = self._metrics.scores(images).contiguous().view(torch.uint8)
        pictures = [video.draw(images, self._fit) for video in self._videos]
        return torch.cat([part.flatten() for part in (scores, *pictures)])

    def finish(self) -> None:
        """Leave the rest to the owners of queues and metrics."""


class OrbitSink:
    """Render each frame's scene from the next place on an ellipse around the input viewpoint.

    A clip shorter than one round stands still at its end until the round is complete.

    Args:
        queue: Of an open video of the fit's display size; its owner closes it.
        view: Draws the scenes.
        period: Frames of one round, at least 1.
        timed: See :class:`FrameVideo`.
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
            self._queue.put(Download(pictures()).result, times)


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
        # First, since this may be a new thread: cuBLAS wants the context that kernels enter.
        scene = self._view.lift(self._shown.interval, self._shown.time)
        images = FrameImages.of([self._shown])
        above = side_by_side_pictures(images, self._fit)[0]
        novel = self._view.draw(scene, _SIDEWAYS)
        depth = depth_pictures(images, self._fit)[0]
        below = torch.cat([depth.cpu(), novel], dim=1)
        write_png(self._path, torch.cat([above.cpu(), below]).numpy())


def _times(frames: Sequence[RenderedFrame], timed: bool) -> list[float | None]:
    return [frame.stream_time if timed else None for frame in frames]
