"""The scene of a frame, seen in perspective from an ellipse around the input viewpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from core.devices import send
from core.geometry.cameras import Lens, Orbit, fit_orbit
from core.geometry.fit import FrameFit
from core.geometry.lift import LiftedGaussians, lift
from core.geometry.motion import freeze_at
from core.outputs.pictures import Pictures, to_8bit, to_bytes
from core.rendering import SteadyRenderer
from core.rendering.perspective import flatten, render_perspective
from core.streaming import Interval
from core.types import DynamicGaussians, RenderOutput

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
        self._renderer = SteadyRenderer()

    def lift(self, interval: Interval, *times: float) -> LiftedGaussians:
        """Return the scenes of an interval at pair times."""
        scenes = [freeze_at(interval.gaussians, time) for time in times]
        return lift(DynamicGaussians.cat(scenes), self._lens)

    def draw(self, scene: LiftedGaussians, phase: float) -> UInt8[Tensor, "h w 3"]:
        """Return the picture of a lifted scene from a place on the ellipse, in rounds."""
        return to_8bit(self._fit.to_display(self.render(scene, phase).rgb[0]))

    def start(self, scenes: LiftedGaussians, phases: Sequence[float]) -> Callable[[], Pictures]:
        """Start to draw lifted scenes, each from its own place; return what gives the pictures."""
        poses, background = self._view(scenes, phases)
        flat, _ = flatten(scenes, poses, self._view_lens)
        times = torch.zeros(len(phases), 1, device=background.device)
        started = self._renderer.start(
            flat, times, self._image_size, background, backend=self._backend
        )
        return lambda: to_bytes(self._fit.to_display(started().rgb[:, 0]))

    def render(self, scene: LiftedGaussians, phase: float) -> RenderOutput:
        """Render a lifted scene from a place on the ellipse, padding included."""
        poses, background = self._view(scene, [phase])
        return render_perspective(
            scene,
            poses,
            self._view_lens,
            self._image_size,
            background,
            backend=self._backend,
        )

    def _view(
        self, scenes: LiftedGaussians, phases: Sequence[float]
    ) -> tuple[Float[Tensor, "b 4 4"], Float[Tensor, "3"]]:
        """Return the cameras and the background, on the scenes' device."""
        if self._orbit is None:
            first = scenes.means[0][scenes.valid[0]]
            self._orbit = fit_orbit(first[:, 2], self._lens)
        poses = torch.stack([self._orbit.cam_from_world(phase) for phase in phases])
        device = scenes.means.device
        return send(poses, device), send(torch.tensor(self._background), device)
