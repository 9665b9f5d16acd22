"""A video from a camera that circles around the input viewpoint while time goes on."""

from __future__ import annotations

import torch

from core.outputs.orbit_view import OrbitView
from core.streaming.reconstruct import RenderedFrame
from core.geometry.lift import LiftedGaussians
from core.io import VideoWriter


class OrbitSink:
    """Look at each frame's scene from the next place on an ellipse.

    A clip shorter than one round stands still at its end until the round is complete.

    Args:
        writer: An open video of the fit's display size; its owner closes it.
        view: Draws the scenes.
        period: Frames of one round, at least 1.
    """

    def __init__(self, writer: VideoWriter, view: OrbitView, *, period: int) -> None:
        self._writer = writer
        self._view = view
        self._period = period
        self._newest: LiftedGaussians | None = None

    @torch.inference_mode()
    def write(self, frame: RenderedFrame) -> None:
        """Append the view of the scene at the time of ``frame``."""
        self._newest = self._view.lift(frame)
        self._draw(self._newest)

    @torch.inference_mode()
    def finish(self) -> None:
        """Complete the round with the clip's last scene."""
        while self._newest is not None and self._writer.num_frames < self._period:
            self._draw(self._newest)

    def _draw(self, scene: LiftedGaussians) -> None:
        self._writer.write(self._view.draw(scene, self._writer.num_frames / self._period))
