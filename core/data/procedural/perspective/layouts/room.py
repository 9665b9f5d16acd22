"""Rooms and corridors: walls, what hangs on them, furniture, small things, people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.palettes import SceneColors
from core.data.procedural.perspective.layouts.furniture import (
    FIXTURE_TEMPLATE,
    FURNITURE,
    FURNITURE_TEMPLATE,
    PARTITION_TEMPLATE,
    ROOM_TEMPLATE,
)
from core.data.procedural.perspective.layouts.outdoors import draw_plants
from core.data.procedural.perspective.layouts.people import draw_people
from core.data.procedural.perspective.layouts.views import draw_viewpoint
from core.data.procedural.perspective.quads import (
    Placement,
    Quads,
    clear,
    place,
    turn,
)
from core.data.procedural.perspective.surfaces import Finish, Surfaces, draw_surfaces, interleave
from core.data.procedural.perspective.world import Illumination, MovableBodies, Viewpoint, World
from core.data.randomness.scene_random import SceneRandom

# mottled, patches, gradient, stripes, checks, bricks, dots, cells, writing
_FLOOR = Finish(
    [3, 1, 0.3, 4, 1, 4, 0.5, 0.7, 0.2],
    (0.8, 4),
    (0.05, 0.9),
    (0.05, 0.5),
    (0, 0.3),
    corner=(0.1, 0.7),
)
_CEILING = Finish(
    [3, 1, 2, 0.5, 0.5, 1, 0.3, 0, 0], (1, 4), (0.02, 0.2), (0, 0.2), (0.4, 0.9), corner=(0.1, 0.7)
)
_WALL = Finish(
    [4, 2, 3, 1, 0.4, 2, 0.4, 0.4, 0.2],
    (0.8, 4),
    (0.02, 0.4),
    (0, 0.25),
    (0.0, 0.75),
    corner=(0.1, 0.7),
)
_FURNITURE = Finish(
    [4, 2, 3, 2, 0.8, 0.5, 0.5, 0.5, 0.2], (0.4, 3), (0.02, 1.0), (0, 0.3), (0, 0.3)
)
_PICTURE = Finish([1, 3, 2, 2, 2, 1, 2, 2, 3], (0.4, 3), (0.5, 1.0), (0, 0.4), (0, 0.4))
_WINDOW = Finish(
    [3, 3, 3, 0.3, 0.3, 1, 0.3, 1, 0], (1, 6), (0.1, 0.7), (0, 0.3), (0.3, 0.9), glow=(0.7, 1)
)
_SMALL = Finish([2, 2, 2, 2, 1, 0.5, 1.5, 1, 3], (0.15, 1.2), (0.2, 1.0), (0, 0.5), (0, 0.4))

_NUM_FURNITURE, _NUM_PUSHED, _NUM_FIXTURES, _NUM_SMALL = 14, 3, 9, 10


@dataclass(frozen=True)
class _Kind:
    """A kind of furniture; pairs are ranges in metres."""

    name: str
    width: tuple[float, float]
    height: tuple[float, float]
    depth: tuple[float, float]
    base: tuple[float, float]
    at_wall: float
    weights: tuple[float, float, float]
    """How often it is in a kitchen, in a living room, in an office."""


_KINDS = [
    _Kind("cupboard", (1.0, 3.2), (0.85, 0.95), (0.55, 0.65), (0, 0), 0.9, (4, 0.3, 0.3)),
    _Kind("cupboard", (0.6, 2.4), (0.5, 0.9), (0.25, 0.42), (1.3, 1.6), 1.0, (3, 0.3, 0.5)),
    _Kind("cupboard", (0.6, 1.8), (1.6, 2.3), (0.4, 0.65), (0, 0), 1.0, (1, 1.5, 2)),
    _Kind("drawers", (0.45, 1.3), (0.6, 1.2), (0.4, 0.6), (0, 0), 0.9, (2, 1.5, 2)),
    _Kind("box", (0.55, 0.95), (0.8, 2.0), (0.55, 0.75), (0, 0), 0.95, (2, 0.3, 0.5)),
    _Kind("table", (0.7, 2.2), (0.7, 0.8), (0.6, 1.1), (0, 0), 0.2, (2, 1, 1.5)),
    _Kind("table", (0.5, 1.3), (0.35, 0.55), (0.4, 0.9), (0, 0), 0.1, (0.2, 1.5, 0.3)),
    _Kind("chair", (0.4, 0.55), (0.8, 1.1), (0.4, 0.55), (0, 0), 0.15, (2.5, 1.5, 3)),
    _Kind("bookcase", (0.6, 1.6), (0.9, 2.2), (0.25, 0.4), (0, 0), 0.95, (0.7, 1.5, 2)),
    _Kind("sofa", (0.9, 2.4), (0.7, 1.0), (0.8, 1.05), (0, 0), 0.5, (0.1, 2.5, 0.3)),
    _Kind("bed", (0.9, 1.9), (0.6, 1.1), (1.9, 2.1), (0, 0), 0.8, (0.0, 1, 0)),
    _Kind("desk", (1.0, 1.9), (0.7, 0.78), (0.6, 0.85), (0, 0), 0.7, (0.2, 0.5, 3)),
    _Kind("box", (0.2, 0.9), (0.2, 0.9), (0.2, 0.9), (0, 0), 0.3, (1.5, 1.5, 1.5)),
    _Kind("box", (0.5, 1.8), (0.03, 0.06), (0.2, 0.32), (1.1, 1.9), 1.0, (1.5, 1, 1.5)),
    _Kind("box", (0.2, 1.5), (3.6, 3.6), (0.15, 0.6), (0, 0), 0.5, (0.7, 0.5, 0.7)),
]


def draw_room(rng: SceneRandom, scene_colors: SceneColors) -> World:
    """Draw rooms.

    Args:
        rng: Random generator of the scenes.
        scene_colors: Common colours.
    """
    viewpoint = draw_viewpoint(rng, heights=(1.1, 1.75), low=0.2, pitch=(-0.22, 0.2))
    half, yaw, origin, height = _draw_extent(rng)
    viewpoint = Viewpoint(
        viewpoint.focal, torch.minimum(viewpoint.height, height - 0.25), viewpoint.tilt
    )
    room = _Room(half, yaw, origin, height)
    shell = _draw_shell(rng, scene_colors, room)
    partition = _draw_partition(rng, scene_colors, room, viewpoint)
    fixtures = _draw_fixtures(rng, scene_colors, room)
    furniture, placement, pushed = _draw_furniture(rng, scene_colors, room, viewpoint)
    small = _draw_small(rng, scene_colors, placement, viewpoint)
    floor = room.to_world(rng.uniform(-0.85, 0.85, 6, 2) * half[:, None], torch.zeros(len(yaw), 6))
    people, walking = draw_people(rng, scene_colors, floor[:, :3], 0.2, 1 + _NUM_PUSHED)
    plants = draw_plants(rng, scene_colors, floor[:, 3:], 0.5, scale=0.6)
    return World(
        solids=Quads.cat([shell, partition, fixtures, furniture, small], dim=1),
        cutouts=Quads.cat([people, plants], dim=1),
        bodies=MovableBodies.cat([pushed, walking], dim=1),
        viewpoint=viewpoint,
        illumination=_draw_light(rng, room),
    )


@dataclass(frozen=True)
class _Room:
    """Where the walls are; room coordinates lie along them, from the middle of the floor."""

    half: Float[Tensor, "b 2"]
    """Half the length along both axes."""
    yaw: Float[Tensor, " b"]
    """Turn of the room about the vertical."""
    origin: Float[Tensor, "b 2"]
    """Room coordinates of the camera."""
    height: Float[Tensor, " b"]
    """From floor to ceiling."""

    def to_world(
        self, floor: Float[Tensor, "b n 2"], height: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b n 3"]:
        """Turn positions on the floor and heights above it into world coordinates."""
        x, z = (floor - self.origin[:, None]).unbind(-1)
        return turn(self.yaw[:, None].expand_as(x), torch.stack([x, -height, z], dim=-1))


def _draw_extent(rng: SceneRandom) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    corridor = rng.bernoulli(0.2)[:, None]
    room = rng.log_uniform(1.3, 4.5, 2)
    long = torch.stack([rng.uniform(0.6, 1.3), rng.uniform(3.0, 9.0)], dim=-1)
    half = torch.where(corridor, long, room)
    frontal = rng.bernoulli(0.4)
    yaw = torch.where(frontal, rng.uniform(-0.2, 0.2), rng.uniform(-math.pi, math.pi))
    yaw = torch.where(corridor[:, 0], rng.uniform(-0.5, 0.5), yaw)
    # The camera looks along (-sin, cos) in room coordinates and mostly stands behind the middle.
    ahead = torch.stack([-yaw.sin(), yaw.cos()], dim=-1)
    where = -ahead * rng.uniform(0.2, 1.1)[:, None] + rng.uniform(-0.4, 0.4, 2)
    border = 1.0 - 0.35 / half
    origin = half * torch.maximum(torch.minimum(where, border), -border)
    # Who stands close before a wall turns round.
    to_wall = ((half - origin * ahead.sign()) / ahead.abs().clamp(min=1e-3)).amin(dim=1)
    yaw = torch.where(to_wall < 1.6, yaw + math.pi, yaw)
    return half, yaw, origin, rng.uniform(2.3, 3.4)


def _draw_shell(rng: SceneRandom, scene_colors: SceneColors, room: _Room) -> Quads:
    b = len(room.yaw)
    surfaces = Surfaces.cat(
        [draw_surfaces(rng, scene_colors, finish, 1) for finish in (_FLOOR, _CEILING, _WALL)], dim=1
    )
    size = torch.stack([2.0 * room.half[:, 0], room.height, 2.0 * room.half[:, 1]], dim=-1)
    middle = room.to_world(torch.zeros(b, 1, 2), torch.zeros(b, 1))
    placement = Placement(
        middle, room.yaw[:, None], size[:, None], torch.ones(b, 1, dtype=torch.bool)
    )
    return place(ROOM_TEMPLATE, torch.zeros(b, 1, dtype=torch.long), placement, surfaces)


def _draw_partition(
    rng: SceneRandom, scene_colors: SceneColors, room: _Room, viewpoint: Viewpoint
) -> Quads:
    """Draw a wall with an opening across the room."""
    b = len(room.yaw)
    along = rng.bernoulli(0.5, 1)
    width = 2.0 * torch.where(along, room.half[:, 1:], room.half[:, :1])
    where = rng.uniform(-0.7, 0.7, 1, 2) * room.half[:, None]
    where = where * torch.stack([along, ~along], dim=-1)
    thickness = rng.uniform(0.08, 0.3, 1)
    flip = torch.where(rng.bernoulli(0.5, 1), math.pi, 0.0)
    placement = Placement(
        room.to_world(where, torch.zeros(b, 1)),
        room.yaw[:, None] + 0.5 * math.pi * along + flip,
        torch.stack([width, room.height[:, None], thickness], dim=-1),
        rng.bernoulli(0.4, 1),
    )
    parts = [draw_surfaces(rng, scene_colors, f, 1) for f in (_WALL, _FURNITURE)]
    return place(
        PARTITION_TEMPLATE,
        rng.choose([1.0] * 3, 1),
        clear(placement, viewpoint.height, 0.8, 0.8),
        interleave(parts),
    )


def _at_walls(
    room: _Room,
    walls: Int[Tensor, "b n"],
    along: Float[Tensor, "b n"],
    widths: Float[Tensor, "b n"],
    depths: Float[Tensor, "b n"],
) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
    """Return positions and turns, in the room, of things whose backs touch walls.

    Args:
        room: The rooms.
        walls: Number of the wall; wall ``k`` is the far one, turned by ``k`` right angles.
        along: Where along the wall, in [-1, 1].
        widths: Extent along the wall.
        depths: Extent from the wall.
    """
    across = (walls % 2).bool()
    half = room.half[:, :, None]
    length = torch.where(across, half[:, 1], half[:, 0])
    distance = torch.where(across, half[:, 0], half[:, 1])
    local = along * (length - 0.5 * widths).clamp(min=0.0)
    yaw = walls * (0.5 * math.pi)
    zero = torch.zeros_like(local)
    placed = turn(yaw, torch.stack([local, zero, distance - 0.5 * depths], dim=-1))
    return placed[..., ::2], yaw


def _draw_fixtures(rng: SceneRandom, scene_colors: SceneColors, room: _Room) -> Quads:
    n = _NUM_FIXTURES
    kinds = rng.choose([3.0, 2.0, 2.0], n)
    low = torch.tensor([[0.3, 0.3, 0.02], [0.6, 0.8, 0.05], [0.75, 1.95, 0.04]])[kinds]
    high = torch.tensor([[1.6, 1.1, 0.06], [2.2, 1.6, 0.14], [1.1, 2.15, 0.1]])[kinds]
    sizes = low + (high - low) * rng.uniform(0.0, 1.0, n, 3)
    walls = rng.choose([1.0] * 4, n)
    floor, yaw = _at_walls(room, walls, rng.uniform(-1.0, 1.0, n), sizes[..., 0], sizes[..., 2])
    base = torch.where(kinds == 2, 0.0, rng.uniform(0.7, 1.5, n))
    base = torch.minimum(base, room.height[:, None] - sizes[..., 1] - 0.05)
    placement = Placement(
        room.to_world(floor, base), yaw + room.yaw[:, None], sizes, rng.bernoulli(0.75, n)
    )
    parts = [draw_surfaces(rng, scene_colors, f, n) for f in (_FURNITURE, _PICTURE, _WINDOW)]
    return place(FIXTURE_TEMPLATE, kinds, placement, interleave(parts))


def _draw_furniture(
    rng: SceneRandom, scene_colors: SceneColors, room: _Room, viewpoint: Viewpoint
) -> tuple[Quads, Placement, MovableBodies]:
    """Draw furniture, of which the first pieces may be pushed if they stand free."""
    n = _NUM_FURNITURE
    weights = list(zip(*(kind.weights for kind in _KINDS), strict=True))
    style = rng.choose([1.2, 1.0, 1.0])
    drawn = torch.stack([rng.choose(row, n) for row in weights])  # (3, b, n)
    kinds = drawn.gather(0, style[None, :, None].expand(1, -1, n))[0]
    ranges = torch.tensor([[k.width, k.height, k.depth, k.base] for k in _KINDS])[kinds]
    sizes = ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * rng.uniform(0.0, 1.0, n, 4)
    sizes, base = sizes[..., :3], sizes[..., 3]
    sizes[..., 1] = torch.minimum(sizes[..., 1], room.height[:, None] - base - 0.02)

    at_wall = rng.uniform(0.0, 1.0, n) < torch.tensor([k.at_wall for k in _KINDS])[kinds]
    walls = rng.choose([1.0] * 4, n)
    gap = sizes[..., 2] + 0.1 * rng.uniform(0.0, 1.0, n) * (base == 0)
    floor, yaw = _at_walls(room, walls, rng.uniform(-1.0, 1.0, n), sizes[..., 0], gap)
    free = rng.uniform(-1.0, 1.0, n, 2) * (
        room.half[:, None] - 0.5 * sizes[..., ::2].amax(-1, True)
    ).clamp(min=0.0)
    loose = torch.where(
        rng.bernoulli(0.5, n), rng.uniform(-0.15, 0.15, n), rng.uniform(-1.6, 1.6, n)
    )
    floor = torch.where(at_wall[..., None], floor, free)
    yaw = torch.where(at_wall, yaw, walls * (0.5 * math.pi) + loose)
    placement = Placement(
        room.to_world(floor, base),
        yaw + room.yaw[:, None],
        sizes,
        rng.uniform(0.0, 1.0, n) < rng.uniform(0.5, 1.0)[:, None],
    )
    placement = clear(placement, viewpoint.height, 0.6, 0.1)
    names = torch.tensor([FURNITURE.index(kind.name) for kind in _KINDS])
    parts = [draw_surfaces(rng, scene_colors, f, n) for f in (_FURNITURE, _FURNITURE, _SMALL)]
    m = _NUM_PUSHED
    bodies = (torch.arange(1, n + 1) * (torch.arange(n) < m)).expand(len(kinds), n)
    quads = place(FURNITURE_TEMPLATE, names[kinds], placement, interleave(parts), bodies)
    angle = rng.uniform(-math.pi, math.pi, m)
    headings = torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()], dim=-1)
    free = placement.present & ~at_wall
    return quads, placement, MovableBodies(placement.positions[:, :m], headings, free[:, :m])


def _draw_small(
    rng: SceneRandom, scene_colors: SceneColors, furniture: Placement, viewpoint: Viewpoint
) -> Quads:
    """Draw boxes and screens that lie on furniture."""
    n = _NUM_SMALL
    # Not on what may be pushed, which would leave them behind.
    below = rng.uniform(_NUM_PUSHED, _NUM_FURNITURE - 1e-3, n).long()

    def of(value: Tensor) -> Tensor:
        return value[torch.arange(len(below))[:, None], below]

    screen = rng.bernoulli(0.25, n)
    sizes = rng.log_uniform(0.06, 0.4, n, 3)
    tall = torch.stack(
        [rng.uniform(0.4, 0.7, n), rng.uniform(0.35, 0.5, n), rng.uniform(0.15, 0.25, n)], -1
    )
    sizes = torch.where(screen[..., None], tall, sizes)
    support = of(furniture.sizes)
    room = (0.5 * (support - sizes)).clamp(min=0.0) * rng.uniform(-1.0, 1.0, n, 3)
    yaw = of(furniture.yaws)
    shift = turn(yaw, room * torch.tensor([1.0, 0.0, 1.0]))
    rise = torch.stack([torch.zeros_like(yaw), support[..., 1], torch.zeros_like(yaw)], dim=-1)
    turned = torch.where(screen, rng.uniform(-0.3, 0.3, n), rng.uniform(-0.8, 0.8, n))
    placement = Placement(
        of(furniture.positions) + shift - rise,
        yaw + turned,
        sizes,
        of(furniture.present) & rng.bernoulli(0.85, n),
    )
    placement = clear(placement, viewpoint.height, 0.6, 0.1)
    kinds = torch.where(screen, FURNITURE.index("screen"), FURNITURE.index("box"))
    parts = [draw_surfaces(rng, scene_colors, f, n) for f in (_SMALL, _FURNITURE, _PICTURE)]
    return place(FURNITURE_TEMPLATE, kinds, placement, interleave(parts))


def _draw_light(rng: SceneRandom, room: _Room) -> Illumination:
    b = len(room.yaw)
    where = room.half[:, None] * rng.uniform(-0.8, 0.8, 1, 2)
    lamp = room.to_world(where, room.height[:, None] - rng.uniform(0.05, 0.6, 1))[:, 0]
    warm = rng.uniform(0.8, 1.02)
    sun = rng.uniform(-1.0, 1.0, 3)
    sun = sun / sun.norm(dim=-1, keepdim=True).clamp(min=0.1)
    return Illumination(
        ambient=rng.uniform(0.4, 0.8),
        sun=sun * rng.uniform(0.05, 0.4)[:, None],
        lamp=lamp,
        lamp_color=rng.uniform(0.4, 2.5)[:, None]
        * torch.stack([torch.ones(b), warm, warm**2], dim=-1),
    )
