"""The scene of a frame, seen in perspective from an ellipse around the input viewpoint."""

from __future__ import annotations

from jaxtyping import UInt8
from torch import Tensor

from core.geometry.cameras import Lens, Orbit, fit_orbit
from core.geometry.fit import FrameFit
from core.geometry.lift import LiftedGaussians, lift
from core.geometry.motion import freeze_at
from core.outputs.pictures import to_8bit
from core.rendering.perspective import render_perspective
from core.streaming.reconstruct import RenderedFrame

_ZOOM = 1.06
"""Keeps the edge of the scene out of the picture while the camera moves."""


class OrbitView:
    """Lifts scenes to perspective and renders them.

    The ellipse is chosen for the first scene and kept, so that the camera moves evenly.

    Args:
        lens: Field of view, and the aspect of the model's picture.
        fit: How the clip was fitted to the model.
        backend: The rasteriser's backend.
    """

    def __init__(self, lens: Lens, fit: FrameFit, *, backend: str = "auto") -> None:
        self._lens = lens
        self._view_lens = lens.zoomed(_ZOOM)
        self._fit = fit
        self._backend = backend
        self._orbit: Orbit | None = None

    def lift(self, frame: RenderedFrame) -> LiftedGaussians:
        """Return the scene of a frame at its time."""
        return lift(freeze_at(frame.interval.gaussians, frame.time), self._lens)

    def draw(self, scene: LiftedGaussians, phase: float) -> UInt8[Tensor, "h w 3"]:
        """Return the picture of a lifted scene from a place on the ellipse, in rounds."""
        if self._orbit is None:
            self._orbit = fit_orbit(scene.means[scene.valid][:, 2], self._lens)
        pose = self._orbit.cam_from_world(phase).to(scene.means)
        view = render_perspective(
            scene, pose[None], self._view_lens, self._fit.model_size, backend=self._backend
        )
        return to_8bit(self._fit.to_display(view.rgb[0]))
