"""A video from a camera that circles around the input viewpoint while time goes on."""

from __future__ import annotations

import torch

from core.evaluation.pictures import to_8bit
from core.evaluation.reconstruct import RenderedFrame
from core.geometry.cameras import Lens, Orbit, fit_orbit
from core.geometry.fit import FrameFit
from core.geometry.lift import LiftedGaussians, lift
from core.geometry.motion import freeze_at
from core.io import VideoWriter
from core.rendering.perspective import render_perspective

_ZOOM = 1.06
"""Keeps the edge of the scene out of the picture while the camera moves."""


class OrbitSink:
    """Lift each frame's scene to perspective and look at it from the next place on an ellipse.

    The ellipse is chosen for the first scene and kept, so that the camera moves evenly. A clip
    shorter than one round stands still at its end until the round is complete.

    Args:
        writer: An open video of the fit's display size; its owner closes it.
        lens: Field of view, and the aspect of the model's picture.
        fit: How the clip was fitted to the model.
        period: Frames of one round, at least 1.
        backend: The rasteriser's backend.
    """

    def __init__(
        self, writer: VideoWriter, lens: Lens, fit: FrameFit, *, period: int, backend: str = "auto"
    ) -> None:
        self._writer = writer
        self._lens = lens
        self._view_lens = lens.zoomed(_ZOOM)
        self._fit = fit
        self._period = period
        self._backend = backend
        self._orbit: Orbit | None = None
        self._newest: LiftedGaussians | None = None

    @torch.inference_mode()
    def write(self, frame: RenderedFrame) -> None:
        """Append the view of the scene at the time of ``frame``."""
        scene = lift(freeze_at(frame.interval.gaussians, frame.time), self._lens)
        if self._orbit is None:
            self._orbit = fit_orbit(scene.means[scene.valid][:, 2], self._lens)
        self._newest = scene
        self._draw(scene, self._orbit)

    @torch.inference_mode()
    def finish(self) -> None:
        """Complete the round with the clip's last scene."""
        if self._newest is None or self._orbit is None:
            return
        while self._writer.num_frames < self._period:
            self._draw(self._newest, self._orbit)

    def _draw(self, scene: LiftedGaussians, orbit: Orbit) -> None:
        pose = orbit.cam_from_world(self._writer.num_frames / self._period).to(scene.means)
        view = render_perspective(
            scene, pose[None], self._view_lens, self._fit.model_size, backend=self._backend
        )
        self._writer.write(to_8bit(self._fit.to_display(view.rgb[0])))
