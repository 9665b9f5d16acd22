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
from core.streaming import Interval
from core.types import RenderOutput

_ZOOM = 1.06
"""Keeps the edge of the scene out of the picture while the camera moves."""


class OrbitView:
    """Lifts scenes to perspective and renders them.

    The ellipse is chosen for the first scene and kept, so that the camera moves evenly.

    Args:
        lens: Field of view, and the aspect of the model's picture.
        fit: How the clip was fitted to the model.
        image_size: Height and width at which the whole picture is rendered; by default the model's.
        background: RGB behind everything.
        backend: The rasteriser's backend.
    """

    def __init__(
        self,
        lens: Lens,
        fit: FrameFit,
        *,
        image_size: tuple[int, int] | None = None,
        background: tuple[float, float, float] = (0.5, 0.5, 0.5),
        backend: str = "auto",
    ) -> None:
        self._image_size = image_size or fit.model_size
        self._background = background
        self._lens = lens
        self._view_lens = lens.zoomed(_ZOOM)
        self._fit = fit
        self._backend = backend
        self._orbit: Orbit | None = None

    def lift(self, interval: Interval, time: float) -> LiftedGaussians:
        """Return the scene of an interval at a pair time."""
        return lift(freeze_at(interval.gaussians, time), self._lens)

    def draw(self, scene: LiftedGaussians, phase: float) -> UInt8[Tensor, "h w 3"]:
        """Return the picture of a lifted scene from a place on the ellipse, in rounds."""
        return to_8bit(self._fit.to_display(self.render(scene, phase).rgb[0]))

    def render(self, scene: LiftedGaussians, phase: float) -> RenderOutput:
        """Render a lifted scene from a place on the ellipse, padding included."""
        if self._orbit is None:
            self._orbit = fit_orbit(scene.means[scene.valid][:, 2], self._lens)
        pose = self._orbit.cam_from_world(phase).to(scene.means)
        return render_perspective(
            scene,
            pose[None],
            self._view_lens,
            self._image_size,
            scene.means.new_tensor(self._background),
            model_size=self._fit.model_size,
            backend=self._backend,
        )
