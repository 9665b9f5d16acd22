"""Sky, ground and plants, as streets and open country have them."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.palettes import SceneColors
from core.data.procedural.appearance.silhouettes import (
    OUTLINES,
    blob,
    boulder,
    foliage,
    reeds,
    tree,
)
from core.data.procedural.perspective.layouts.furniture import SHEET_TEMPLATE
from core.data.procedural.perspective.quads import Placement, Quads, billboards, place
from core.data.procedural.perspective.surfaces import Finish, Surfaces, draw_surfaces
from core.data.procedural.perspective.texture_bank import OUTLINE_VARIANTS
from core.data.procedural.perspective.world import Illumination
from core.data.randomness.scene_random import SceneRandom

# mottled, patches, gradient, stripes, checks, bricks, dots, cells, writing
LAND = Finish([5, 2, 0.2, 0.2, 0.2, 0.5, 0.5, 1, 0], (1.5, 8), (0.2, 1.0), (0.3, 1.0))
_SKY = Finish([3, 2, 0.5, 0, 0, 0, 0, 0, 0], (500, 4000), (1, 1), (0.0, 0.3), glow=(1, 1))
_LEAVES = Finish(
    [5, 2, 0.5, 0, 0, 0, 0.3, 0.5, 0], (0.7, 4), (0.4, 1), (0.5, 1.2), roundness=(0.3, 1.5)
)
_HILLS = Finish([5, 2, 1, 0, 0, 0, 0.2, 0.5, 0], (15, 80), (0.2, 1.0), (0.2, 0.9))

_SKY_HEIGHT, _SKY_REACH = 400.0, 20_000.0

_PLANTS = (tree, foliage, boulder, reeds)
_PLANT_SIZES = torch.tensor([[2.5, 9.0], [0.8, 4.0], [0.4, 3.0], [0.4, 1.6]])
"""Range of the span of each outline in metres."""


def sheets(
    heights: Float[Tensor, "b n"],
    centers: Float[Tensor, "b n 2"],
    yaws: Float[Tensor, "b n"],
    extents: Float[Tensor, "b n 2"],
    surfaces: Surfaces,
) -> Quads:
    """Build level rectangles.

    Args:
        heights: Metres above the ground.
        centers: World coordinates x and z of their middle.
        yaws: Turn about the vertical.
        extents: Their sides in metres.
        surfaces: Their look.
    """
    positions = torch.stack([centers[..., 0], -heights, centers[..., 1]], dim=-1)
    sizes = torch.stack([extents[..., 0], torch.ones_like(heights), extents[..., 1]], dim=-1)
    placement = Placement(positions, yaws, sizes, torch.ones_like(heights, dtype=torch.bool))
    return place(SHEET_TEMPLATE, torch.zeros_like(heights, dtype=torch.long), placement, surfaces)


def draw_sky(rng: SceneRandom, scene_colors: SceneColors) -> Quads:
    """Draw a layer of clouds that pales towards the horizon."""
    b = len(scene_colors.hues)
    surfaces = draw_surfaces(rng, scene_colors, _SKY, 1)
    zenith, low = scene_colors.sky.unbind(1)
    cloud = low.lerp(torch.ones(3), 0.6)
    strength = rng.uniform(0.0, 1.0)[:, None]
    colors = [
        zenith,
        zenith.lerp(cloud, strength),
        zenith.lerp(low, 0.3),
        zenith.lerp(cloud, strength),
    ]
    thickness = torch.stack([torch.ones(b, 1), torch.full((b, 1), 1.0 / 3000.0)], dim=-1)
    surfaces = replace(surfaces, palettes=torch.stack(colors, dim=1)[:, None], haze=thickness)
    reach = torch.full((b, 1), 2.0 * _SKY_REACH)
    return sheets(
        torch.full((b, 1), _SKY_HEIGHT),
        torch.zeros(b, 1, 2),
        rng.uniform(-3.0, 3.0, 1),
        torch.stack([reach, reach], dim=-1),
        surfaces,
    )


def draw_ground(rng: SceneRandom, scene_colors: SceneColors, finish: Finish, reach: float) -> Quads:
    """Draw the ground as far as ``reach``."""
    b = len(scene_colors.hues)
    extent = torch.full((b, 1, 2), 2.0 * reach)
    surfaces = draw_surfaces(rng, scene_colors, finish, 1)
    level, yaw = torch.zeros(b, 1), rng.uniform(-3.0, 3.0, 1)
    return sheets(level, torch.zeros(b, 1, 2), yaw, extent, surfaces)


def draw_plants(
    rng: SceneRandom,
    scene_colors: SceneColors,
    positions: Float[Tensor, "b n 3"],
    share: float,
    scale: float = 1.0,
) -> Quads:
    """Draw trees, bushes, stones and tufts at positions on the ground.

    Args:
        rng: Random generator of the scenes.
        scene_colors: Common colours.
        positions: Where they stand.
        share: How likely each of them is there.
        scale: Factor on their sizes.
    """
    n = positions.shape[1]
    kinds = rng.choose([3.0, 2.0, 2.0, 1.0], n)
    ranges = _PLANT_SIZES[kinds].log()
    span = (ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * rng.uniform(0.0, 1.0, n)).exp()
    span = scale * span
    outlines = torch.tensor([OUTLINES.index(plant) for plant in _PLANTS])[kinds]
    distance = positions[..., ::2].norm(dim=-1)
    present = rng.bernoulli(share, n) & (distance > 0.6 * span + 0.5)
    surfaces = draw_surfaces(rng, scene_colors, _LEAVES, n)
    return _upright(rng, outlines, positions, span, span, present, surfaces)


def draw_hills(rng: SceneRandom, scene_colors: SceneColors, share: float, count: int) -> Quads:
    """Draw hills at the end of the ground."""
    distance = rng.log_uniform(30.0, 190.0, count)
    angle = rng.uniform(-0.9, 0.9, count)
    level = torch.zeros_like(angle)
    positions = torch.stack([distance * angle.sin(), level, distance * angle.cos()], dim=-1)
    width, height = rng.uniform(0.5, 3.0, count) * distance, rng.uniform(0.1, 0.6, count) * distance
    outlines = torch.where(rng.bernoulli(0.5, count), OUTLINES.index(boulder), OUTLINES.index(blob))
    present = rng.bernoulli(share, count)
    surfaces = draw_surfaces(rng, scene_colors, _HILLS, count)
    sunk = positions + torch.stack([level, 0.4 * height, level], dim=-1)
    return _upright(rng, outlines, sunk, width, height, present, surfaces)


def _upright(
    rng: SceneRandom,
    outlines: Int[Tensor, "b n"],
    positions: Float[Tensor, "b n 3"],
    width: Float[Tensor, "b n"],
    height: Float[Tensor, "b n"],
    present: Tensor,
    surfaces: Surfaces,
) -> Quads:
    n = outlines.shape[1]
    variant = (rng.uniform(0.0, OUTLINE_VARIANTS - 1e-3, n)).long()
    yaw = torch.atan2(positions[..., 0], positions[..., 2]) + rng.uniform(-0.3, 0.3, n)
    placement = Placement(positions, yaw, torch.stack([width, height, width], dim=-1), present)
    return billboards(outlines * OUTLINE_VARIANTS + variant, placement, surfaces)


def fill_air(quads: Quads, haze: Float[Tensor, "b 2"]) -> Quads:
    """Give all surfaces that have none the same haze."""
    own = quads.surfaces.haze
    haze = torch.where(own.any(dim=-1, keepdim=True), own, haze[:, None])
    return replace(quads, surfaces=replace(quads.surfaces, haze=haze))


def draw_air(rng: SceneRandom) -> Float[Tensor, "b 2"]:
    """Draw haze: clear air more often than fog."""
    return torch.stack([rng.uniform(0.3, 1.0), 1.0 / rng.log_uniform(40.0, 1500.0)], dim=-1)


def draw_daylight(rng: SceneRandom) -> Illumination:
    """Draw a sun above, or an overcast sky."""
    b = len(rng.uniform(0.0, 1.0))
    side, up, front = rng.uniform(-1.0, 1.0), rng.uniform(0.4, 1.5), rng.uniform(-1.0, 0.5)
    sun = torch.stack([side, -up, front], dim=-1)
    strength = rng.uniform(0.1, 0.7)
    sun = sun / sun.norm(dim=-1, keepdim=True) * strength[:, None]
    return Illumination(
        ambient=1.0 - 0.7 * strength,
        sun=sun,
        lamp=torch.zeros(b, 3),
        lamp_color=torch.zeros(b, 3),
    )
