"""Draws perspective scenes: a layout, the camera's and the bodies' motion, and what is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.procedural.appearance.lighting import draw_lighting
from core.data.procedural.appearance.palettes import SceneColors, draw_scene_colors
from core.data.procedural.imaging.motion import (
    FOCAL,
    CameraMotion,
    determinant,
    draw_camera_motion,
    invert,
    rotation,
)
from core.data.procedural.options import ProceduralOptions
from core.data.procedural.perspective.layouts.landscape import draw_landscape
from core.data.procedural.perspective.layouts.room import draw_room
from core.data.procedural.perspective.layouts.street import draw_street
from core.data.procedural.perspective.quads import Quads
from core.data.procedural.perspective.scenes import BodyPaths, Geometry, PerspectiveScenes
from core.data.procedural.perspective.shading import Light
from core.data.procedural.perspective.texture_bank import texture_bank
from core.data.procedural.perspective.world import World
from core.data.randomness.scene_random import SceneRandom
from core.data.sensor import draw_sensor

Layout = Literal["room", "street", "landscape"]

LAYOUT_WEIGHTS: dict[Layout, float] = {"room": 0.55, "street": 0.25, "landscape": 0.2}
"""How often each layout is chosen."""

_LAYOUTS: dict[Layout, Callable[[SceneRandom, SceneColors], World]] = {
    "room": draw_room,
    "street": draw_street,
    "landscape": draw_landscape,
}

_CONTRAST = 1.4
"""Factor on the contrasts of layered scenes."""

_BRIGHTNESS = 1.05
"""Brightness of the light on most surfaces; so frames are as bright as real ones in the mean."""

_MARGIN = 1.1
"""How far beyond the image something must lie to be left out, as a factor."""

_TIMES = torch.linspace(0.0, 1.0, 5)[None]
"""When it is looked for what no view shows."""


def draw_perspective_scenes(
    layout: Layout,
    seed: int,
    indices: Sequence[int],
    options: ProceduralOptions,
    device: torch.device,
    *,
    camera: CameraMotion | None = None,
) -> PerspectiveScenes:
    """Draw the scenes of ``indices``, each a function of (layout, seed, index) alone.

    With ``camera`` they are seen by that one, whose travel is fitted to each scene as that of the
    cameras that are drawn.
    """
    rng = SceneRandom(f"{seed}:{layout}", indices)
    scene_colors = draw_scene_colors(rng)
    # Plain surfaces need stronger colours and contrasts to have those of real frames.
    scene_colors = replace(scene_colors, saturation=scene_colors.saturation**0.6)
    lighting = draw_lighting(rng, scene_colors)
    lighting = replace(lighting, contrast=(_CONTRAST * lighting.contrast).clamp(max=1.6))
    world = _LAYOUTS[layout](rng, scene_colors)
    drawn = draw_camera_motion(rng, 2.0 * options.camera_motion)
    camera = drawn if camera is None else camera
    sensor = draw_sensor(rng, options.sensor_blur, options.sensor_noise)
    paths = _draw_paths(rng, world, options)

    aspect, view = options.height / options.width, world.viewpoint
    still = Geometry(world.solids, paths, view, camera.map(torch.zeros_like))
    around = _outside(still.pose(_TIMES[:, 2:3].expand(len(indices), -1)).maps, 2.0, aspect)
    solids = world.solids.keep(~around[:, 0])
    still = replace(still, quads=Quads.cat([solids, world.cutouts], dim=1))
    camera = _scale_motion(camera, view.focal, _coarse_inverse_depths(still, aspect))
    solids, cutouts = (
        quads.keep(_may_be_seen(Geometry(quads, paths, view, camera), aspect))
        for quads in (solids, world.cutouts)
    )
    geometry = Geometry(Quads.cat([solids, cutouts], dim=1), paths, view, camera)
    illumination = world.illumination.exposed(_BRIGHTNESS)
    light = Light(illumination, view.position, view.focal, lighting.haze_color)
    side = 1 << max(5, (options.width // 2 - 1).bit_length())
    return PerspectiveScenes(
        sensor=sensor.to(device, non_blocking=True),
        image_size=(options.height, options.width),
        geometry=geometry.to(device, non_blocking=True),
        light=light.to(device, non_blocking=True),
        lighting=lighting.to(device, non_blocking=True),
        bank=texture_bank(side, device),
        num_cutouts=cutouts.sprites.shape[1],
    )


def _coarse_inverse_depths(geometry: Geometry, aspect: float) -> Float[Tensor, "b n"]:
    """Return inverse depths on a coarse grid of the reference view, as if no outlines were cut."""
    x = ((torch.arange(16) + 0.5) / 8.0 - 1.0).repeat(9)
    y = aspect * ((torch.arange(9) + 0.5) / 4.5 - 1.0).repeat_interleave(16)
    rays = torch.stack([x, y, torch.ones_like(x)])
    maps = geometry.pose(torch.full((len(geometry.viewpoint.focal), 1), 0.5)).maps[:, 0]
    a, b, depths = (invert(maps) @ rays).unbind(-2)  # (b, p, n)
    hit = (torch.maximum(a.abs(), b.abs()) <= depths) & geometry.quads.present[..., None]
    return depths.where(hit, 0.0).amax(dim=1)


def _scale_motion(
    camera: CameraMotion, focal: Float[Tensor, " b"], inverse_depths: Float[Tensor, "b n"]
) -> CameraMotion:
    """Fit the motion, drawn for inverse depths of about 0.6, to what the camera sees."""
    wide = (FOCAL / focal)[:, None, None]
    typical, nearest = inverse_depths.quantile(0.75, dim=1), inverse_depths.amax(dim=1)
    # Walking moves the border of the image as far as going sideways moves its middle.
    stretch = torch.cat([wide, wide, torch.full_like(wide, 1.0 / 0.6)], dim=-1)
    travel = camera.travel * stretch * (0.6 / typical.clamp(min=0.01))[:, None, None]
    # What is nearest keeps two thirds of its distance.
    reach = travel.norm(dim=-1).sum(dim=-1) * nearest
    travel = travel * (0.66 / reach.clamp(min=0.66))[:, None, None]
    shake = torch.cat([camera.shake[..., :1] * wide, camera.shake[..., 1:]], dim=-1)
    turn = camera.turn * torch.cat([wide, wide, torch.ones_like(wide)], dim=-1)
    return replace(camera, travel=travel, turn=turn, shake=shake)


def _draw_paths(rng: SceneRandom, world: World, options: ProceduralOptions) -> BodyPaths:
    bodies, view = world.bodies, world.viewpoint
    m = bodies.pivots.shape[1]
    axes = rotation(view.tilt)
    place = einsum(axes, bodies.pivots - view.position[:, None], "b i j, b m j -> b m i")
    ahead = einsum(axes, bodies.headings, "b i j, b m j -> b m i")
    depth = place[..., 2].clamp(min=0.5)
    # What a metre of the way changes: the place in the image, in half widths, and the depth.
    across = ahead[..., :2] - place[..., :2] * (ahead[..., 2:] / depth[..., None])
    across = view.focal[:, None] / depth * across.norm(dim=-1)
    along = ahead[..., 2].abs() / depth
    length = torch.minimum(
        2.0 * options.object_motion / across.clamp(min=1e-3),
        options.depth_motion / along.clamp(min=1e-3),
    )
    moving = rng.bernoulli(options.moving_fraction, m) & bodies.present
    length = length * rng.uniform(0.0, 1.0, m) ** 0.7 * moving
    bend = 0.5 * length * rng.uniform(-1.0, 1.0, m)
    shifts = torch.stack([length, bend], dim=-1)[..., None] * bodies.headings[..., None, :]
    turns = rng.uniform(-0.2, 0.2, m, 2) * (rng.bernoulli(0.5, m) & moving)[..., None]

    def with_still(value: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(value[:, :1]), value], dim=1)

    return BodyPaths(*(with_still(v) for v in (bodies.pivots, shifts, turns, moving)))


def _may_be_seen(geometry: Geometry, aspect: float) -> Bool[Tensor, "b p"]:
    """Return which rectangles reach into a view and show their outside."""
    maps = geometry.pose(_TIMES.expand(len(geometry.viewpoint.focal), -1)).maps
    # The determinant's sign tells on which side of the rectangle the camera is.
    hidden = geometry.quads.closed[:, None] & (determinant(maps) < 0)
    return ~(_outside(maps, _MARGIN, aspect) | hidden).all(dim=1)


def _outside(
    maps: Float[Tensor, "b v p 3 3"], margin: float, aspect: float
) -> Bool[Tensor, "b v p"]:
    """Return which rectangles lie beyond one border of a view, ``margin`` times as large."""
    corners = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -1.0, 1.0]])
    x, y, z = (maps @ corners.T).unbind(-2)  # (b, v, p, 4)
    x, y = x / margin, y / (margin * aspect)
    beyond = (x - z, -x - z, y - z, -y - z, -z)
    return torch.stack([(side > 0).all(dim=-1) for side in beyond]).any(dim=0)
