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
from core.recording import Recorded
from core.rendering import SteadyRenderer
from core.rendering.coverage import even_coverage
from core.rendering.perspective import flatten, render_perspective
from core.scene_file import grid_of
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
        self._sent_background: Float[Tensor, "3"] | None = None
        self._renderer = SteadyRenderer()
        self._flatten: Callable[..., DynamicGaussians] = Recorded(self._seen, plain_calls=1)
        self._finish: Callable[..., Pictures] = Recorded(self._shown, plain_calls=1)

    def lift(self, interval: Interval, time: float) -> LiftedGaussians:
        """Return the scene of an interval at a pair time."""
        return lift(freeze_at(interval.gaussians, time), self._lens, self._slopes(interval))

    def _slopes(self, interval: Interval) -> Float[Tensor, "1 n 2"]:
        return interval.slopes(grid_of(interval.num_first, self._fit.model_size), self._lens)

    def draw(self, scene: LiftedGaussians, phase: float) -> UInt8[Tensor, "h w 3"]:
        """Return the picture of a lifted scene from a place on the ellipse, in rounds."""
        return to_8bit(self._fit.to_display(self.render(scene, phase).rgb[0]))

    def start(
        self, interval: Interval, times: Sequence[float], phases: Sequence[float]
    ) -> Callable[[], Pictures]:
        """Start to draw the scene of an interval at pair times, each from its own place.

        Returns:
            What waits for the device and gives the pictures.
        """
        gaussians, device = interval.gaussians, interval.gaussians.means.device
        if self._orbit is None:
            self._fit_orbit(self.lift(interval, times[0]))
        poses = send(self._poses(phases), device)
        moments = send(torch.tensor(list(times)), device)
        flat = self._flatten(gaussians, self._slopes(interval), moments, poses)
        background = self._background_on(device)
        started = self._renderer.start(
            flat,
            torch.zeros(len(times), 1, device=device),
            self._image_size,
            background,
            backend=self._backend,
        )

        return lambda: self._finish(started(), background)

    def _seen(
        self,
        gaussians: DynamicGaussians,
        slopes: Float[Tensor, "1 n 2"],
        times: Float[Tensor, " t"],
        poses: Float[Tensor, "t 4 4"],
    ) -> DynamicGaussians:
        """Return one scene at several times, each seen by its own camera."""
        scenes = DynamicGaussians.cat([freeze_at(gaussians, time) for time in times])
        scenes = lift(scenes, self._lens, slopes)
        sizes = (self._image_size, self._fit.model_size)
        return flatten(scenes, poses, self._view_lens, *sizes)[0]

    def _shown(self, images: RenderOutput, background: Float[Tensor, "3"]) -> Pictures:
        even = even_coverage(images, background, self._fit.model_size)
        return to_bytes(self._fit.to_display(even.rgb[:, 0]))

    def render(self, scene: LiftedGaussians, phase: float) -> RenderOutput:
        """Render a lifted scene from a place on the ellipse, padding included."""
        if self._orbit is None:
            self._fit_orbit(scene)
        device = scene.means.device
        return render_perspective(
            scene,
            send(self._poses([phase]), device),
            self._view_lens,
            self._image_size,
            self._background_on(device),
            model_size=self._fit.model_size,
            backend=self._backend,
        )

    def _fit_orbit(self, scene: LiftedGaussians) -> None:
        self._orbit = fit_orbit(scene.means[scene.valid][:, 2], self._lens)

    def _poses(self, phases: Sequence[float]) -> Float[Tensor, "b 4 4"]:
        assert self._orbit is not None
        return torch.stack([self._orbit.cam_from_world(phase) for phase in phases])

    def _background_on(self, device: torch.device) -> Float[Tensor, "3"]:
        if self._sent_background is None or self._sent_background.device != device:
            self._sent_background = send(torch.tensor(self._background), device)
        return self._sent_background
