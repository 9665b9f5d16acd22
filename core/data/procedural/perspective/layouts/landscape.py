"""Open country: ground, plants at all distances, hills, stones, people or animals."""

from __future__ import annotations

import torch

from core.data.procedural.appearance.palettes import SceneColors
from core.data.procedural.perspective.layouts.furniture import BOX_TEMPLATE
from core.data.procedural.perspective.layouts.outdoors import (
    LAND,
    draw_air,
    draw_daylight,
    draw_ground,
    draw_hills,
    draw_plants,
    draw_sky,
    fill_air,
    sheets,
)
from core.data.procedural.perspective.layouts.people import draw_people
from core.data.procedural.perspective.layouts.views import draw_viewpoint
from core.data.procedural.perspective.quads import Placement, Quads, clear, place
from core.data.procedural.perspective.surfaces import draw_surfaces
from core.data.procedural.perspective.world import NUM_BODIES, World
from core.data.randomness.scene_random import SceneRandom

_NUM_PLANTS, _NUM_BLOCKS, _NUM_HILLS = 14, 5, 6


def draw_landscape(rng: SceneRandom, scene_colors: SceneColors) -> World:
    """Draw landscapes."""
    viewpoint = draw_viewpoint(rng, heights=(0.6, 1.9), low=0.3, pitch=(-0.08, 0.14))
    b = len(viewpoint.height)
    people, bodies = draw_people(rng, scene_colors, _scatter(rng, NUM_BODIES, 2.0, 25.0), 0.3)
    path_yaw = rng.uniform(-0.8, 0.8, 1)
    path = sheets(
        torch.full((b, 1), 0.01),
        rng.uniform(-3.0, 3.0, 1, 2),
        path_yaw,
        torch.stack([rng.uniform(0.5, 4.0, 1), torch.full((b, 1), 200.0)], dim=-1),
        draw_surfaces(rng, scene_colors, LAND, 1),
    )
    n = _NUM_BLOCKS
    blocks = Placement(
        _scatter(rng, n, 1.5, 30.0),
        rng.uniform(-3.0, 3.0, n),
        rng.log_uniform(0.2, 1.6, n, 3),
        rng.bernoulli(0.4, n),
    )
    boxes = place(
        BOX_TEMPLATE,
        torch.zeros(b, n, dtype=torch.long),
        clear(blocks, viewpoint.height, 0.7, 0.4),
        draw_surfaces(rng, scene_colors, LAND, n),
    )
    ground = draw_ground(rng, scene_colors, LAND, 220.0)
    solids = Quads.cat([ground, path, boxes, draw_sky(rng, scene_colors)], dim=1)
    plants = draw_plants(rng, scene_colors, _scatter(rng, _NUM_PLANTS, 1.5, 60.0), 0.75)
    hills = draw_hills(rng, scene_colors, 0.6, _NUM_HILLS)
    air = draw_air(rng)
    return World(
        solids=fill_air(solids, air),
        cutouts=fill_air(Quads.cat([people, plants, hills], dim=1), air),
        bodies=bodies,
        viewpoint=viewpoint,
        illumination=draw_daylight(rng),
    )


def _scatter(rng: SceneRandom, count: int, near: float, far: float) -> torch.Tensor:
    """Draw positions on the ground ahead, as many in every octave of the distance."""
    distance, angle = rng.log_uniform(near, far, count), rng.uniform(-0.8, 0.8, count)
    level = torch.zeros_like(angle)
    return torch.stack([distance * angle.sin(), level, distance * angle.cos()], dim=-1)
