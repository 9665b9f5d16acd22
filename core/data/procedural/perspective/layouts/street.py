"""Streets: a road between buildings, cars, poles, trees and people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.procedural.appearance.palettes import SceneColors
from core.data.procedural.perspective.layouts.furniture import (
    BOX_TEMPLATE,
    BUILDING_TEMPLATE,
    VEHICLE_TEMPLATE,
)
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
from core.data.procedural.perspective.quads import Placement, Quads, clear, place, turn
from core.data.procedural.perspective.surfaces import Finish, draw_surfaces, interleave
from core.data.procedural.perspective.world import MovableBodies, Viewpoint, World
from core.data.randomness.scene_random import SceneRandom

# mottled, patches, gradient, stripes, checks, bricks, dots, cells, writing
_ROAD = Finish([6, 1, 0.3, 0, 0, 0.7, 0, 1, 0], (2, 8), (0.05, 0.5), (0.1, 0.8))
_PAVEMENT = Finish([2, 0.5, 0.2, 0.3, 1, 4, 0.3, 1, 0], (1, 4), (0.1, 0.7), (0.1, 0.7))
_PAINT = Finish([1, 0, 0, 0, 0, 0, 0, 0, 0], (2, 6), (0, 0.2), (0.2, 0.7), (0.5, 0.9))
_FACADE = Finish([3, 1, 0.5, 1, 1, 5, 0.3, 1, 0], (3, 14), (0.1, 0.9), (0.1, 0.7), (0, 0.4))
_SHOP = Finish([1, 2, 1, 2, 1, 1, 0.3, 0.5, 2], (2, 8), (0.2, 1.0), (0.1, 0.5))
_GLASS = Finish([0.5, 1, 1, 3, 4, 4, 0, 0, 0], (4, 14), (0.3, 1.0), (0, 0.4))
_LACQUER = Finish([1, 0.5, 3, 0.5, 0, 0, 0, 0, 0.2], (2, 8), (0, 0.4), (0, 0.2))
_DARK = Finish([1, 1, 2, 0, 0, 0, 0, 0, 0], (1, 4), (0, 0.5), (0, 0.3))

_REACH = 220.0
_SIDE_BUILDINGS, _NUM_PARKED, _NUM_DRIVING, _NUM_POLES, _NUM_WALKERS = 6, 5, 3, 6, 3


@dataclass(frozen=True)
class _Road:
    """Where the road is; its coordinates lie across and along it, from the camera's foot."""

    yaw: Float[Tensor, " b"]
    """Turn of the road about the vertical."""
    middle: Float[Tensor, " b"]
    """Where its middle is."""
    half: Float[Tensor, " b"]
    """Half its width."""
    pavement: Float[Tensor, " b"]
    """Width of the pavement on both sides."""
    urban: Bool[Tensor, " b"]
    """Whether there are buildings."""

    def to_world(self, across: Tensor, along: Tensor) -> Float[Tensor, "b n 3"]:
        """Turn positions relative to the road's middle into world coordinates on the ground."""
        x = self.middle[:, None] + across
        return turn(self.yaw[:, None].expand_as(x), torch.stack([x, 0.0 * x, along], dim=-1))


def draw_street(rng: SceneRandom, scene_colors: SceneColors) -> World:
    """Draw streets."""
    viewpoint = draw_viewpoint(rng, heights=(1.2, 1.9), low=0.2, pitch=(-0.03, 0.12))
    half, pavement = rng.uniform(2.5, 6.5), rng.uniform(1.2, 4.0)
    yaw = torch.where(rng.bernoulli(0.75), rng.uniform(-0.4, 0.4), rng.uniform(-1.5, 1.5))
    middle = rng.uniform(-1.1, 1.1) * (half + 0.5 * pavement)
    road = _Road(yaw, middle, half, pavement, rng.bernoulli(0.75))
    walkers, walking = draw_people(
        rng, scene_colors, _beside(rng, road, _NUM_WALKERS, 25.0), 0.5, 1 + _NUM_DRIVING
    )
    cars, driving = _draw_cars(rng, scene_colors, road, viewpoint)
    solids = [
        draw_ground(rng, scene_colors, LAND, _REACH),
        _draw_road(rng, scene_colors, road),
        cars,
        _draw_buildings(rng, scene_colors, road, viewpoint),
        _draw_poles(rng, scene_colors, road, viewpoint),
        draw_sky(rng, scene_colors),
    ]
    plants = draw_plants(rng, scene_colors, _beside(rng, road, 8, 60.0), 0.6)
    hills = draw_hills(rng, scene_colors, 0.5, 4)
    air = draw_air(rng)
    return World(
        solids=fill_air(Quads.cat(solids, dim=1), air),
        cutouts=fill_air(Quads.cat([walkers, plants, hills], dim=1), air),
        bodies=MovableBodies.cat([driving, walking], dim=1),
        viewpoint=viewpoint,
        illumination=draw_daylight(rng),
    )


def _sides(rng: SceneRandom, count: int) -> Float[Tensor, "b count"]:
    return torch.where(rng.bernoulli(0.5, count), 1.0, -1.0)


def _beside(rng: SceneRandom, road: _Road, count: int, reach: float) -> Float[Tensor, "b count 3"]:
    """Draw positions on the pavement or not far behind it."""
    offset = road.pavement[:, None] * rng.uniform(0.1, 1.0, count)
    beyond = torch.where(road.urban[:, None], 0.0, rng.uniform(0.0, 15.0, count))
    across = _sides(rng, count) * (road.half[:, None] + offset + beyond)
    return road.to_world(across, reach * rng.uniform(0.0, 1.0, count) ** 1.5 + 2.0)


def _draw_road(rng: SceneRandom, scene_colors: SceneColors, road: _Road) -> Quads:
    b = len(road.yaw)
    zero, long = torch.zeros(b, 1), torch.full((b, 1), 2.0 * _REACH)
    lane = sheets(
        zero + 0.01,
        road.to_world(zero, zero)[..., ::2],
        road.yaw[:, None],
        torch.stack([2.0 * road.half[:, None], long], dim=-1),
        draw_surfaces(rng, scene_colors, _ROAD, 1),
    )
    # Dashes in the middle, or lines along the borders.
    n = 8
    dashed = rng.bernoulli(0.6)[:, None]
    along = torch.where(dashed, 3.0 + 7.0 * torch.arange(n), 0.0)
    border = torch.tensor([-1.0, 1.0]).repeat(n // 2) * (road.half[:, None] - 0.25)
    length = torch.where(dashed, 3.0, 2.0 * _REACH).expand(-1, n)
    spots = road.to_world(torch.where(dashed, 0.0, border), along)
    paint = sheets(
        torch.full((b, n), 0.02),
        spots[..., ::2],
        road.yaw[:, None].expand(-1, n),
        torch.stack([torch.full((b, n), 0.16), length], dim=-1),
        draw_surfaces(rng, scene_colors, _PAINT, n),
    )
    curb = 0.5 * road.pavement[:, None] + road.half[:, None]
    across = torch.cat([-curb, curb], dim=1)
    size = torch.stack([road.pavement, rng.uniform(0.08, 0.2), torch.full((b,), 2.0 * _REACH)], -1)
    placement = Placement(
        road.to_world(across, torch.zeros(b, 2)),
        road.yaw[:, None].expand(-1, 2),
        size[:, None].expand(-1, 2, -1),
        road.urban[:, None].expand(-1, 2),
    )
    kinds = torch.zeros(b, 2, dtype=torch.long)
    pavement = place(BOX_TEMPLATE, kinds, placement, draw_surfaces(rng, scene_colors, _PAVEMENT, 2))
    return Quads.cat([lane, paint, pavement], dim=1)


def _draw_buildings(
    rng: SceneRandom, scene_colors: SceneColors, road: _Road, viewpoint: Viewpoint
) -> Quads:
    n = _SIDE_BUILDINGS
    quads = []
    for side in (-1.0, 1.0):
        house = rng.bernoulli(0.3, n)
        width = torch.where(house, rng.uniform(7.0, 14.0, n), rng.uniform(7.0, 28.0, n))
        height = torch.where(house, rng.uniform(3.5, 7.0, n), rng.uniform(5.0, 26.0, n))
        depth = rng.uniform(8.0, 15.0, n)
        gap = rng.uniform(-4.0, 6.0, n).clamp(min=0.0)
        end = (width + gap).cumsum(dim=1) - rng.uniform(2.0, 16.0, 1)
        setback = rng.uniform(0.0, 2.5, n) + house * rng.uniform(0.0, 6.0, n)
        front = road.half[:, None] + road.pavement[:, None] + setback
        placement = Placement(
            road.to_world(side * (front + 0.5 * depth), end - 0.5 * width),
            (road.yaw[:, None] + side * 0.5 * math.pi).expand(-1, n),
            torch.stack([width, height, depth], dim=-1),
            rng.bernoulli(0.88, n) & road.urban[:, None],
        )
        parts = [draw_surfaces(rng, scene_colors, f, n) for f in (_FACADE, _SHOP, _GLASS)]
        quads.append(
            place(
                BUILDING_TEMPLATE,
                house.long(),
                clear(placement, viewpoint.height, 1.0, 1.0),
                interleave(parts),
            )
        )
    return Quads.cat(quads, dim=1)


def _draw_cars(
    rng: SceneRandom, scene_colors: SceneColors, road: _Road, viewpoint: Viewpoint
) -> tuple[Quads, MovableBodies]:
    n, driving = _NUM_DRIVING + _NUM_PARKED, _NUM_DRIVING
    van = rng.bernoulli(0.25, n)
    size = torch.stack(
        [rng.uniform(1.6, 1.9, n), rng.uniform(1.35, 1.6, n), rng.uniform(3.4, 4.8, n)], -1
    )
    large = torch.stack(
        [rng.uniform(1.9, 2.4, n), rng.uniform(2.0, 3.2, n), rng.uniform(4.8, 8.0, n)], -1
    )
    size = torch.where(van[..., None], large, size)
    sides = _sides(rng, n)
    lane = torch.full((n,), 0.5)
    lane[driving:] = 1.0
    across = sides * (lane * road.half[:, None] - lane.floor() * (0.5 * size[..., 0] + 0.2))
    along = 50.0 * rng.uniform(0.0, 1.0, n) ** 1.5 + 3.0
    onward = torch.where(rng.bernoulli(0.8, n), sides, -sides) > 0
    yaw = road.yaw[:, None] + torch.where(onward, 0.0, math.pi)
    placement = Placement(
        road.to_world(across, along),
        yaw,
        size,
        rng.uniform(0.0, 1.0, n) < rng.uniform(0.2, 0.9)[:, None],
    )
    placement = clear(placement, viewpoint.height, 1.2, 1.2)
    bodies = torch.arange(1, n + 1) * (torch.arange(n) < driving)
    parts = [draw_surfaces(rng, scene_colors, f, n) for f in (_LACQUER, _DARK, _DARK)]
    for part in parts[1:]:
        part.palettes.mul_(0.35)
    quads = place(
        VEHICLE_TEMPLATE, van.long(), placement, interleave(parts), bodies.expand(len(yaw), n)
    )
    ahead = torch.stack([yaw.sin(), torch.zeros_like(yaw), yaw.cos()], dim=-1)
    return quads, MovableBodies(
        placement.positions[:, :driving], ahead[:, :driving], placement.present[:, :driving]
    )


def _draw_poles(
    rng: SceneRandom, scene_colors: SceneColors, road: _Road, viewpoint: Viewpoint
) -> Quads:
    n = _NUM_POLES
    across = _sides(rng, n) * (road.half[:, None] + rng.uniform(0.3, 0.8, n))
    thick = rng.uniform(0.07, 0.3, n)
    box = rng.bernoulli(0.25, n)
    height = torch.where(box, rng.uniform(0.8, 1.4, n), rng.uniform(2.5, 8.0, n))
    thick = torch.where(box, rng.uniform(0.4, 1.2, n), thick)
    placement = Placement(
        road.to_world(across, 40.0 * rng.uniform(0.0, 1.0, n) ** 1.5 + 1.0),
        road.yaw[:, None].expand(-1, n),
        torch.stack([thick, height, thick], dim=-1),
        rng.bernoulli(0.7, n),
    )
    placement = clear(placement, viewpoint.height, 0.8, 0.8)
    kinds = torch.zeros(placement.present.shape, dtype=torch.long)
    return place(BOX_TEMPLATE, kinds, placement, draw_surfaces(rng, scene_colors, _DARK, n))
