"""Videos and pictures that are drawn while frames are rendered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import UInt8
from torch import Tensor

from core.geometry.fit import FrameFit
from core.geometry.lift import LiftedGaussians
from core.io import write_png
from core.io.video import VideoWriter
from core.outputs.orbit_view import OrbitView
from core.outputs.pictures import depth_picture, side_by_side_picture
from core.streaming.reconstruct import RenderedFrame

DrawFrame = Callable[[RenderedFrame, FrameFit], UInt8[Tensor, "h w 3"]]
_SIDEWAYS = 0.25
"""Place on the orbit, in rounds, at which parallax is largest."""


class FrameSink(Protocol):
    """Takes every frame of a clip in order; holds no more than the newest of them."""

    def write(self, frame: RenderedFrame) -> None:
        """Take the next frame."""
        ...

    def finish(self) -> None:
        """Complete the output; at least one frame was written, none follows."""
        ...


class VideoSink:
    """Draw each frame and append it to a video.

    Args:
        writer: An open video of the size that ``draw`` gives; its owner closes it.
        draw: Makes the picture, see :mod:`core.outputs.pictures`.
        fit: How the clip was fitted to the model.
        timed: Whether frames are shown when the clip shows them, rather than one after the other
            at the video's frame rate.
    """

    def __init__(
        self, writer: VideoWriter, draw: DrawFrame, fit: FrameFit, *, timed: bool = False
    ) -> None:
        self._writer = writer
        self._timed = timed
        self._draw = draw
        self._fit = fit

    def write(self, frame: RenderedFrame) -> None:
        """Append the picture of ``frame``."""
        time = frame.stream_time if self._timed else None
        self._writer.write(self._draw(frame, self._fit), time)

    def finish(self) -> None:
        """Leave the rest to the owner of the writer."""


class OrbitSink:
    """Render each frame's scene from the next place on an ellipse around the input viewpoint.

    A clip shorter than one round stands still at its end until the round is complete.

    Args:
        writer: An open video of the fit's display size; its owner closes it.
        view: Draws the scenes.
        period: Frames of one round, at least 1.
        timed: See :class:`VideoSink`.
    """

    def __init__(
        self, writer: VideoWriter, view: OrbitView, *, period: int, timed: bool = False
    ) -> None:
        self._writer = writer
        self._view = view
        self._period = period
        self._timed = timed
        self._newest: LiftedGaussians | None = None

    @torch.inference_mode()
    def write(self, frame: RenderedFrame) -> None:
        """Append the view of the scene at the time of ``frame``."""
        self._newest = self._view.lift(frame.interval, frame.time)
        self._draw(self._newest, frame.stream_time if self._timed else None)

    @torch.inference_mode()
    def finish(self) -> None:
        """Complete the round with the clip's last scene."""
        while self._newest is not None and self._writer.num_frames < self._period:
            self._draw(self._newest)

    def _draw(self, scene: LiftedGaussians, time: float | None = None) -> None:
        self._writer.write(self._view.draw(scene, self._writer.num_frames / self._period), time)


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

    def write(self, frame: RenderedFrame) -> None:
        """Keep the frame if it is the one to show, or the newest before it."""
        if self._shown is None or frame.index <= self._index:
            self._shown = frame

    @torch.inference_mode()
    def finish(self) -> None:
        """Write the picture."""
        if self._shown is None:
            return
        above = side_by_side_picture(self._shown, self._fit)
        scene = self._view.lift(self._shown.interval, self._shown.time)
        novel = self._view.draw(scene, _SIDEWAYS)
        below = torch.cat([depth_picture(self._shown, self._fit), novel], dim=1)
        write_png(self._path, torch.cat([above, below]).numpy())
