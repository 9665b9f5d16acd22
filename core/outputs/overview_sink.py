"""One picture of everything: input, reconstruction, depth and a novel view."""

from __future__ import annotations

from pathlib import Path

import torch

from core.outputs.orbit_sink import OrbitView
from core.outputs.pictures import depth_picture, side_by_side_picture
from core.streaming.reconstruct import RenderedFrame
from core.geometry.fit import FrameFit
from core.io import write_png

_SIDEWAYS = 0.25
"""Place on the orbit, in rounds, at which parallax is largest."""


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
        novel = self._view.draw(self._view.lift(self._shown), _SIDEWAYS)
        below = torch.cat([depth_picture(self._shown, self._fit), novel], dim=1)
        write_png(self._path, torch.cat([above, below]).numpy())
