"""Draws procedural scenes, layered and perspective ones, and renders clips of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.data.procedural.appearance.lighting import draw_lighting
from core.data.procedural.appearance.palettes import draw_scene_colors
from core.data.procedural.backdrop import MARGIN, BackdropPlan, bake_backdrop, draw_backdrop
from core.data.procedural.imaging.compositor import LayerStack
from core.data.procedural.imaging.motion import BodyMotion, draw_camera_motion
from core.data.procedural.objects import ObjectPlan, bake_objects, draw_objects
from core.data.procedural.options import ProceduralOptions
from core.data.procedural.perspective.drawing import (
    LAYOUT_WEIGHTS,
    Layout,
    draw_perspective_scenes,
)
from core.data.procedural.perspective.scenes import PerspectiveScenes
from core.data.procedural.records import Rows
from core.data.procedural.scenes import ProceduralScenes, Scenes
from core.data.randomness.scene_random import SceneRandom
from core.data.sensor import draw_sensor
from core.geometry.canonical import normalize_inverse_depth
from core.types import ClipBatch

_FARTHEST = 2.0
"""Motion, in canonical units, from which on it is not known; this is the width of the image."""


class ProceduralSource:
    """Random scenes with exact depth and motion before a moving camera.

    Some are layers of textured, moving, occluding shapes, others rooms, streets and landscapes in
    perspective. A scene is a function of (seed, index) alone, not of the rest of the batch. Its
    parameters are drawn on the CPU; everything with pixels happens on ``device``.

    Args:
        options: Size, objects and motion of the clips.
        seed: Seed of the whole source.
        device: Where scenes are built and rendered.
    """

    def __init__(
        self, options: ProceduralOptions, *, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.options = options
        self.seed = seed
        self.device = torch.device(device)

    def sample_scenes(self, indices: Sequence[int]) -> ProceduralScenes:
        """Build layered scenes of ``indices``, whatever the share of perspective ones.

        Raises:
            UserError: If ``indices`` is empty.
        """
        _check(indices)
        options, image_size = self.options, (self.options.height, self.options.width)
        with torch.no_grad():
            rng = SceneRandom(self.seed, indices)
            scene_colors = draw_scene_colors(rng)
            lighting = draw_lighting(rng, scene_colors)
            backdrop = draw_backdrop(
                rng, scene_colors, options.width, options.height / options.width
            )
            objects = draw_objects(rng, scene_colors, lighting, backdrop, options)
            camera = draw_camera_motion(rng, 2.0 * options.camera_motion).to(
                self.device, non_blocking=True
            )
            sensor = draw_sensor(rng, options.sensor_blur, options.sensor_noise).to(
                self.device, non_blocking=True
            )
            scene_colors = scene_colors.to(self.device, non_blocking=True)
            lighting = lighting.to(self.device, non_blocking=True)
            backdrop = backdrop.to(self.device, non_blocking=True)
            objects = objects.to(self.device, non_blocking=True)
            canvases = bake_backdrop(backdrop, scene_colors, lighting, image_size)
            sprites = bake_objects(objects, lighting, image_size)
            return ProceduralScenes(
                stack=_stack(backdrop, objects, canvases, sprites, image_size),
                camera=camera,
                bodies=_bodies(backdrop, objects, image_size),
                sensor=sensor,
                image_size=image_size,
            )

    def sample_perspective_scenes(
        self, layout: Layout, indices: Sequence[int]
    ) -> PerspectiveScenes:
        """Build perspective scenes of ``indices``, whatever their share.

        Raises:
            UserError: If ``indices`` is empty.
        """
        _check(indices)
        with torch.no_grad():
            return draw_perspective_scenes(layout, self.seed, indices, self.options, self.device)

    def clip(self, indices: Sequence[int], times: Float[Tensor, "b v"]) -> ClipBatch:
        """Render a clip of each scene, with exact depth and masks.

        Args:
            indices: Which scenes.
            times: Rising times in [0, 1] at which each scene is rendered; the batch's own times
                run from 0 to 1 over them.
        """
        _check(indices)
        times = times.to(self.device)
        if times.shape[0] != len(indices):
            raise UserError(
                f"ProceduralSource.clip: times has shape {tuple(times.shape)}, but there are "
                f"{len(indices)} indices; expected one row of times for each."
            )
        share = self.options.perspective_share
        weights = [1.0 - share, *(share * weight for weight in LAYOUT_WEIGHTS.values())]
        kinds = SceneRandom(f"{self.seed}:kind", indices).choose(weights)
        parts, order = [], []
        for kind, layout in enumerate((None, *LAYOUT_WEIGHTS)):
            rows = Rows.where(kinds == kind, self.device)
            own = [indices[row] for row in rows.host.tolist()]
            if own:
                if layout is None:
                    scenes = self.sample_scenes(own)
                else:
                    scenes = self.sample_perspective_scenes(layout, own)
                parts.append(_clip(scenes, times[rows.device]))
                order.append(rows.device)
        if len(parts) == 1:
            return parts[0]
        return ClipBatch.cat(parts).select(torch.cat(order).argsort())

    def sample(self, index: int, *, num_views: int = 6) -> ClipBatch:
        """Render scene ``index`` at ``num_views`` even times over the whole of its clip."""
        return self.clip([index], torch.linspace(0.0, 1.0, num_views)[None])


def _check(indices: Sequence[int]) -> None:
    if not indices:
        raise UserError("ProceduralSource: no scene indices were given; expected at least one.")


def _clip(scenes: Scenes, times: Float[Tensor, "b v"]) -> ClipBatch:
    views = scenes.render(times)
    since, span = times - times[:, :1], times[:, -1:] - times[:, :1]
    yes = torch.ones(len(times), dtype=torch.bool, device=times.device)
    motion = _motion(scenes, times)
    # What passes the camera leaves the image by any distance, or to behind the camera.
    known = (span > 0)[:, :, None, None] & (motion.abs().amax(dim=2) < _FARTHEST)
    return ClipBatch(
        frames=views.frames,
        inverse_depths=normalize_inverse_depth(views.inverse_depths),
        masks=views.masks,
        times=torch.where(span > 0, since / torch.where(span > 0, span, 1.0), 0.0),
        motion=motion * known[:, :, None],
        motion_known=known,
        has_depth=yes,
        has_mask=yes,
    )


def _motion(scenes: Scenes, times: Float[Tensor, "b v"]) -> Float[Tensor, "b 2 2 g_h g_w"]:
    if times.shape[1] > 1:
        return scenes.motion_between(times[:, 0], times[:, -1])
    height, width = scenes.image_size
    return times.new_zeros(len(times), 2, 2, height // 2, width // 2)


def _stack(
    backdrop: BackdropPlan,
    objects: ObjectPlan,
    canvases: Float[Tensor, "b 3 4 th tw"],
    sprites: Float[Tensor, "b l 5 s s"],
    image_size: tuple[int, int],
) -> LayerStack:
    b, device = len(canvases), canvases.device
    aspect = image_size[0] / image_size[1]
    whole = torch.diag(torch.tensor([1.0 / MARGIN, 1.0 / (MARGIN * aspect), 1.0]))
    whole = repeat(whole, "i j -> b l i j", b=b, l=canvases.shape[1])
    whole = whole.to(device, non_blocking=True)
    scale, zero = 1.0 / objects.sizes, torch.zeros_like(objects.sizes)
    cx, cy = objects.bodies.centers.unbind(-1)
    rows = [scale, zero, -cx * scale, zero, scale, -cy * scale, zero, zero, zero + 1.0]
    local = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    still = torch.zeros(b, canvases.shape[1], device=device)
    return LayerStack(
        planes=torch.cat([backdrop.layout.planes, objects.planes], dim=1),
        charts=torch.cat([whole, local], dim=1),
        textures=(*canvases.unbind(1), *sprites.unbind(1)),
        shadow_offsets=torch.cat([still[..., None].expand(-1, -1, 2), objects.shadow_offsets], 1),
        shadow_opacities=torch.cat([still, objects.shadow_opacities], dim=1),
        moving=torch.cat([still.bool(), objects.moving], dim=1),
    )


def _bodies(backdrop: BackdropPlan, objects: ObjectPlan, image_size: tuple[int, int]) -> BodyMotion:
    """Prepend the backdrop, which stays still, to the objects' motion."""
    b, count = backdrop.layout.planes.shape[:2]

    def still(value: Tensor) -> Tensor:
        return torch.cat([value.new_zeros(b, count, *value.shape[2:]), value], dim=1)

    # A pivot at the lower edge lies before the camera on every plane, the ground included.
    centers = still(objects.bodies.centers)
    centers[:, :count, 1] = image_size[0] / image_size[1]
    return BodyMotion(
        centers,
        still(objects.bodies.shift),
        still(objects.bodies.spin),
        still(objects.bodies.stretch),
    )
