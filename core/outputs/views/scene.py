"""Pictures of a stored scene at any time, in any size and from several cameras."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from core.geometry.cameras import Lens, fit_orbit, look_at
from core.geometry.fit import FrameFit, Window
from core.outputs.options import CameraName
from core.outputs.pictures import depth_in_colors, seen_inverse_depth
from core.outputs.views.orbit import OrbitView
from core.rendering.footprints import render_enlarged
from core.rendering.perspective import render_perspective
from core.scene_file import SceneHeader
from core.streaming import Interval, render_interval
from core.types import RenderOutput


@dataclass(frozen=True)
class Canvas:
    """What is rendered, and the part of it that is shown."""

    fit: FrameFit
    """How the clip was fitted to the model."""
    size: tuple[int, int] | None = None
    """Height and width in pixels of what is shown. None renders at the model's size, and shows that
    in the proportions of the input as ``splat_inference.py`` does."""

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """Height and width at which the whole picture is rendered, padding included."""
        if self.size is None:
            return self.fit.model_size
        (height, width), content = self.fit.model_size, self.fit.content
        rows, columns = self.size
        return round(rows * height / content.height), round(columns * width / content.width)

    @cached_property
    def shown_size(self) -> tuple[int, int]:
        """Height and width of what is shown."""
        return self.size or self.fit.display_size

    def shown(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c rows columns"]:
        """Return the part of rendered images that is shown."""
        if self.size is None:
            return self.fit.to_display(images)
        (height, width), (rows, columns) = self.image_size, self.size
        return Window((height - rows) // 2, (width - columns) // 2, rows, columns).of(images)


@dataclass(frozen=True)
class ScenePicture:
    """A picture of the size that is shown."""

    rgb: Float[Tensor, "1 3 h w"]
    """Colours in [0, 1]."""
    inverse_depth: Float[Tensor, "1 1 h w"]
    """Normalised, in [0, 1]; 0 where nothing is."""
    depth_colors: Float[Tensor, "1 3 h w"]
    """The same in colours, bright is near and black is nothing there."""


class SceneView:
    """Renders the intervals of a scene.

    Args:
        header: Of the scene file.
        camera: ``input`` is the orthographic view of the input; ``perspective`` a pinhole camera at
            ``eye``, and ``orbit`` one that circles the input viewpoint.
        size: Height and width in pixels; None as of :class:`Canvas`.
        horizontal_fov_deg: Field of view of pinhole cameras, degrees.
        eye: Place of the perspective camera in scene units, right, down and forward of the input
            viewpoint, which is the origin. It looks at the middle of the scene's depth.
        backend: The rasteriser's backend.
    """

    def __init__(
        self,
        header: SceneHeader,
        *,
        camera: CameraName = "input",
        size: tuple[int, int] | None = None,
        horizontal_fov_deg: float = 60.0,
        eye: tuple[float, float, float] = (0.0, 0.0, 0.0),
        backend: str = "auto",
    ) -> None:
        self.canvas = Canvas(header.fit, size)
        """What is rendered and shown."""
        self._camera = camera
        self._background = header.background
        self._lens = Lens(horizontal_fov_deg, header.fit.aspect)
        self._eye = torch.tensor(eye)
        self._focus_depth: float | None = None
        self._backend = backend
        self._orbit = OrbitView(
            self._lens,
            header.fit,
            image_size=self.canvas.image_size,
            background=header.background,
            backend=backend,
        )

    def draw(self, interval: Interval, time: float, phase: float) -> ScenePicture:
        """Return the picture of an interval at a pair time.

        Args:
            interval: The scene.
            time: Pair time in [0, 1].
            phase: Place of the camera ``orbit``, in rounds.
        """
        images = self._render(interval, time, phase)
        depth, alpha = images.depth[0], images.alpha[0]
        return ScenePicture(
            rgb=self.canvas.shown(images.rgb[0]).clamp(0, 1),
            inverse_depth=self.canvas.shown(seen_inverse_depth(depth, alpha)).clamp(0, 1),
            depth_colors=self.canvas.shown(depth_in_colors(depth, alpha)),
        )

    def _render(self, interval: Interval, time: float, phase: float) -> RenderOutput:
        background = interval.gaussians.means.new_tensor(self._background)
        if self._camera == "input":
            return render_interval(
                interval,
                [time],
                self.canvas.image_size,
                background=background,
                backend=self._backend,
                renderer=partial(render_enlarged, model_size=self.canvas.fit.model_size),
            )
        if self._camera == "orbit":
            return self._orbit.render(self._orbit.lift(interval, time), phase)
        scene = self._orbit.lift(interval, time)
        if self._focus_depth is None:
            depths = scene.means[scene.valid][:, 2]
            self._focus_depth = fit_orbit(depths, self._lens).focus_depth
        pose = look_at(self._eye, torch.tensor([0.0, 0.0, self._focus_depth]))
        return render_perspective(
            scene,
            pose[None].to(background),
            self._lens,
            self.canvas.image_size,
            background,
            model_size=self.canvas.fit.model_size,
            backend=self._backend,
        )
