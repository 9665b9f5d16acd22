"""Foreground objects: outlines filled with materials, rounded by light, each on its own plane."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.procedural.appearance.lighting import Lighting, light_up
from core.data.procedural.appearance.materials import Materials, draw_materials, paint
from core.data.procedural.appearance.palettes import SceneColors, draw_palettes
from core.data.procedural.appearance.silhouettes import (
    FOOT,
    OUTLINE_WEIGHTS,
    OUTLINES,
    UPRIGHT,
    OutlineInputs,
)
from core.data.procedural.backdrop import GROUND, BackdropLayout, BackdropPlan
from core.data.procedural.imaging.motion import FOCAL, BodyMotion
from core.data.procedural.options import ProceduralOptions
from core.data.procedural.records import Rows, take_rows
from core.data.randomness.scene_random import SceneRandom
from core.data.randomness.spectral import spectral_fields
from core.types import HOST, TensorDataclass

_PATTERN_WEIGHTS = [3.5, 2.0, 2.0, 1.6, 1.2, 0.8, 1.2, 1.2, 1.2]


@dataclass(frozen=True)
class ObjectLooks(TensorDataclass):
    """What ``n`` objects look like, scene by scene."""

    outline: Int[Tensor, " n"] = field(metadata=HOST)
    """Position in OUTLINES; stays on the CPU, where rows are sorted by it."""
    present: Bool[Tensor, " n"] = field(metadata=HOST)
    """Which objects there are; the others are transparent."""
    planes: Float[Tensor, "n 3"]
    """Inverse depth at (x, y, 1) of the reference view."""
    centers: Float[Tensor, "n 2"]
    """View coordinates of the sprites' centres."""
    sizes: Float[Tensor, " n"]
    """Half the side of the sprites in view coordinates."""
    angle: Float[Tensor, " n"]
    """Rotation of the outline."""
    squeeze: Float[Tensor, " n"]
    """Ratio of the outline's length to its height."""
    params: Float[Tensor, "n 16"]
    """Numbers in [0, 1] that shape the outline."""
    softness: Float[Tensor, " n"]
    """Width of the edge in pixels."""
    roundness: Float[Tensor, " n"]
    """How strongly the light models the object, in [0, 1]."""
    rim: Float[Tensor, " n"]
    """Brightness of the lit edge; darkness where it is negative."""
    shine: Float[Tensor, " n"]
    """Strength of the highlight."""
    materials: Materials
    """What they are made of."""


@dataclass(frozen=True)
class ObjectPlan(TensorDataclass):
    """``l`` objects in each of ``b`` scenes, from far to near."""

    planes: Float[Tensor, "b l 3"]
    """Inverse depth at (x, y, 1) of the reference view."""
    sizes: Float[Tensor, "b l"]
    """Half the side of the sprites in view coordinates."""
    moving: Bool[Tensor, "b l"]
    """Which objects move on their own."""
    bodies: BodyMotion
    """How they move, and where they are."""
    shadow_offsets: Float[Tensor, "b l 2"]
    """Where the shadow falls, in sprite coordinates."""
    shadow_opacities: Float[Tensor, "b l"]
    """How dark it is."""
    looks: ObjectLooks
    """What they look like."""


def draw_objects(
    rng: SceneRandom,
    scene_colors: SceneColors,
    lighting: Lighting,
    backdrop: BackdropPlan,
    options: ProceduralOptions,
) -> ObjectPlan:
    """Draw the objects of each scene.

    They are spaced in depth so that no own motion or tilt reverses their order, and placed so that
    the ground stays behind them.
    """
    n, aspect = options.max_objects, options.height / options.width
    number = rng.uniform(options.min_objects, options.max_objects + 1 - 1e-4).floor()
    order = rng.uniform(0.0, 1.0, n).argsort(dim=-1)
    present = order < number[:, None]
    depths, spacing = _spread_depths(rng, backdrop.layout.nearest, n)
    nearest = depths[:, -1:]
    outline = rng.choose(OUTLINE_WEIGHTS, n)
    upright = torch.tensor(UPRIGHT)[outline]
    sizes = rng.log_uniform(0.1, 0.75, n) * (depths / nearest) ** 0.5

    moving = rng.bernoulli(options.moving_fraction, n) & present
    path = _paths(rng, moving, depths, spacing, options)
    reach = 0.5 * FOCAL * depths * path[:, :, 0, :2].norm(dim=-1)
    centers = _place(rng, depths, sizes, upright, reach, backdrop.layout, aspect)
    tilt = rng.direction(n) * (0.2 * spacing[:, None] / sizes.clamp(min=0.1) / 1.4)[..., None]
    tilt = tilt * rng.uniform(0.0, 1.0, n)[..., None] * ~upright[..., None]
    # The plane passes through the object's centre at its depth, inclined by the tilt.
    level = depths * (1.0 - (tilt * centers).sum(dim=-1))
    planes = torch.cat([tilt * depths[..., None], level[..., None]], dim=-1)
    turns = rng.uniform(-1.0, 1.0, n, 2) * torch.tensor([0.25, 0.15])
    turns = turns * (moving & rng.bernoulli(0.6, n))[..., None]
    turns = torch.where(upright[..., None], 0.3 * turns, turns)
    stretch = rng.uniform(-0.05, 0.05, n, 2) * moving[..., None]
    shadow = -lighting.direction[:, None, :2] * rng.uniform(0.02, 0.25, n)[..., None]
    soft = rng.bernoulli(0.2, n)
    looks = ObjectLooks(
        outline=outline.flatten(),
        present=present.flatten(),
        planes=planes.flatten(0, 1),
        centers=centers.flatten(0, 1),
        sizes=sizes.flatten(),
        angle=torch.where(upright, 0.0, rng.uniform(-3.15, 3.15, n)).flatten(),
        squeeze=torch.where(upright, 1.0, rng.uniform(1.0, 2.2, n)).flatten(),
        params=rng.uniform(0.0, 1.0, n, 16).flatten(0, 1),
        softness=torch.where(soft, rng.uniform(1.5, 6.0, n), rng.uniform(0.9, 1.4, n)).flatten(),
        roundness=(rng.uniform(0.0, 1.0, n) * rng.bernoulli(0.75, n)).flatten(),
        rim=(rng.uniform(-0.35, 0.5, n) * rng.bernoulli(0.5, n)).flatten(),
        shine=(rng.uniform(0.0, 0.7, n) * rng.bernoulli(0.25, n)).flatten(),
        materials=draw_materials(
            rng, draw_palettes(rng, scene_colors, n), _PATTERN_WEIGHTS, options.width
        ),
    )
    opacities = rng.uniform(0.0, options.shadow_opacity, n) * rng.bernoulli(0.7)[:, None]
    return ObjectPlan(
        planes=planes,
        sizes=sizes,
        moving=moving,
        bodies=BodyMotion(centers, path, turns, stretch),
        shadow_offsets=shadow,
        shadow_opacities=opacities * present,
        looks=looks,
    )


def _spread_depths(
    rng: SceneRandom, behind: Float[Tensor, " b"], n: int
) -> tuple[Float[Tensor, "b n"], Float[Tensor, " b"]]:
    # Evenly in the logarithm, with jitter. Neighbours differ by at least half of the spacing,
    # and the spacing itself is what bounds motion in depth and tilt.
    low = 1.15 * behind
    high = torch.maximum(rng.uniform(0.7, 1.3), 2.5 * low)
    spacing = (high / low).log() / n
    steps = torch.arange(n) + 0.5 + rng.uniform(-0.25, 0.25, n)
    return low[:, None] * torch.exp(spacing[:, None] * steps), spacing


def _paths(
    rng: SceneRandom,
    moving: Bool[Tensor, "b n"],
    depths: Float[Tensor, "b n"],
    spacing: Float[Tensor, " b"],
    options: ProceduralOptions,
) -> Float[Tensor, "b n 2 3"]:
    n = depths.shape[1]
    # Paths are drawn in the image, in half widths, and lifted to the object's depth.
    length = 2.0 * options.object_motion * rng.uniform(0.0, 1.0, n) ** 1.3
    bend = 0.7 * length * rng.uniform(0.0, 1.0, n)
    flat = torch.stack(
        [rng.direction(n) * length[..., None], rng.direction(n) * bend[..., None]], dim=-2
    )
    # Half of the clip lies on either side of the reference: a change of at most a fifth of the
    # spacing over the clip keeps neighbours, half a spacing apart, in order.
    dolly = torch.minimum(torch.tensor(options.depth_motion), 0.2 * spacing)[:, None]
    dolly = dolly * rng.uniform(-1.0, 1.0, n)
    along = torch.stack([dolly, torch.zeros_like(dolly)], dim=-1)[..., None]
    scale = (moving / depths)[..., None, None]
    return torch.cat([flat / FOCAL, along], dim=-1) * scale


def _place(
    rng: SceneRandom,
    depths: Float[Tensor, "b n"],
    sizes: Float[Tensor, "b n"],
    upright: Bool[Tensor, "b n"],
    reach: Float[Tensor, "b n"],
    backdrop: BackdropLayout,
    aspect: float,
) -> Float[Tensor, "b n 2"]:
    n = depths.shape[1]
    x = rng.uniform(-0.95, 0.95, n)
    y = rng.uniform(-0.9, 0.9, n) * aspect
    # Where the ground comes as near as the object, with a tenth to spare.
    slope, offset = backdrop.planes[:, GROUND, 1, None], backdrop.planes[:, GROUND, 2, None]
    limit = (0.9 * depths - offset) / slope.clamp(min=1e-3) - reach
    highest = limit - FOOT * sizes
    stands = upright | (rng.uniform(0.0, 1.0, n) < 0.4)
    grounded = torch.where(stands, highest, torch.minimum(y, highest))
    # What would stand below the image stays in it and floats before the ground instead.
    grounded = torch.minimum(grounded, torch.tensor(0.85 * aspect))
    return torch.stack([x, torch.where(backdrop.has_ground[:, None], grounded, y)], dim=-1)


def bake_objects(
    plan: ObjectPlan, lighting: Lighting, image_size: tuple[int, int]
) -> Float[Tensor, "b l 5 s s"]:
    """Paint the sprites: RGB, opacity and the shape of the shadow.

    The plan lies on the device of ``lighting``. Sprites have half as many texels along each side as
    the image has columns.
    """
    b, count = plan.sizes.shape
    side = 32 * -(-(image_size[1] // 2) // 32)
    device = lighting.haze.device
    sprites = torch.zeros(b * count, 5, side, side, device=device)
    rows = Rows.where(plan.looks.present, device)
    looks, lighting = take_rows(plan.looks, rows), take_rows(lighting.repeat(count), rows)
    sprites[rows.device] = _bake_sprites(looks, lighting, side, image_size[1])
    return rearrange(sprites, "(b l) c h w -> b l c h w", b=b)


def _bake_sprites(
    looks: ObjectLooks, lighting: Lighting, side: int, width: int
) -> Float[Tensor, "n 5 s s"]:
    sizes, centers = looks.sizes[:, None, None], looks.centers[..., None, None]
    pixels = sizes * width / side  # image pixels per texel
    axis = (2.0 * torch.arange(side, device=sizes.device) + 1.0) / side - 1.0
    px, py = axis.expand(len(sizes), side, side), axis[:, None].expand(len(sizes), side, side)

    materials = looks.materials
    cutoffs = (0.35 * pixels[:, 0, 0]).clamp(max=0.35)
    fields = spectral_fields(materials.keys, materials.exponents, cutoffs, side, side)
    distance = pixels * _distance_in_texels(looks, px, py, fields)
    window = ((0.97 - torch.maximum(axis.abs(), axis.abs()[:, None])) * 20.0).clamp(0.0, 1.0)
    opacity = (distance / looks.softness[:, None, None] + 0.5).clamp(0.0, 1.0) * window
    shadow = (0.5 + distance / (0.14 * side * pixels)).clamp(0.0, 1.0)
    shadow = shadow * shadow * (3.0 - 2.0 * shadow) * window

    half = 0.5 * width * sizes
    chart = torch.stack([px * half, py * half], dim=1)
    color = paint(materials, chart, torch.ones_like(pixels), fields, lighting.direction[:, :2])
    color = _model(color, looks, lighting, distance / half, distance)
    x, y = centers[:, 0] + sizes * px, centers[:, 1] + sizes * py
    plane = looks.planes[..., None, None]
    color = light_up(color, x, y, plane[:, 0] * x + plane[:, 1] * y + plane[:, 2], lighting)
    return torch.cat([color, opacity[:, None], shadow[:, None]], dim=1)


def _distance_in_texels(
    looks: ObjectLooks,
    px: Float[Tensor, "n s s"],
    py: Float[Tensor, "n s s"],
    fields: Float[Tensor, "n 4 s s"],
) -> Float[Tensor, "n s s"]:
    angle = looks.angle[:, None, None]
    x = angle.cos() * px + angle.sin() * py
    y = (angle.cos() * py - angle.sin() * px) * looks.squeeze[:, None, None]
    params = looks.params[..., None, None]
    inputs = OutlineInputs(x, y, fields, params)
    field = torch.empty_like(x)
    for index, outline in enumerate(OUTLINES):
        rows = Rows.where(looks.outline == index, px.device)
        if len(rows.host):
            field[rows.device] = outline(take_rows(inputs, rows))
    # To first order, the distance to the zero set is the field over its slope.
    padded = F.pad(field[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    dx = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
    dy = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
    slope = (dx**2 + dy**2).sqrt()
    typical = slope.mean(dim=(-2, -1), keepdim=True)
    return field / torch.maximum(slope, 0.3 * typical).clamp(min=1e-6)


def _model(
    color: Float[Tensor, "n 3 s s"],
    looks: ObjectLooks,
    lighting: Lighting,
    depth: Float[Tensor, "n s s"],
    distance: Float[Tensor, "n s s"],
) -> Float[Tensor, "n 3 s s"]:
    # The surface bulges from the edge inwards over a third of the sprite.
    inward = (depth / 0.35).clamp(0.0, 1.0)
    bulge = (inward * (2.0 - inward)).sqrt()[:, None]
    bulge = F.avg_pool2d(bulge, 11, stride=1, padding=5, count_include_pad=False)[:, 0]
    nx = 0.5 * (bulge.roll(1, -1) - bulge.roll(-1, -1))
    ny = 0.5 * (bulge.roll(1, -2) - bulge.roll(-1, -2))
    steep = 0.18 * color.shape[-1] * looks.roundness[:, None, None]
    nx, ny = nx * steep, ny * steep
    norm = (1.0 + nx**2 + ny**2).rsqrt()
    lx, ly, lz = lighting.direction[..., None, None].unbind(1)
    facing = ((nx * lx + ny * ly + lz) * norm).clamp(min=0.0)
    shade = (0.35 + 0.65 * facing / lz).clamp(max=1.7)
    edge = torch.exp(-((distance / 2.5) ** 2)) * looks.rim[:, None, None]
    halfway = ((nx * lx + ny * ly + lz + 1.0) * norm / (2.0 + 2.0 * lz).sqrt()).clamp(0.0, 1.0)
    gloss = looks.shine[:, None, None] * halfway**40
    return color * (shade + edge * shade)[:, None] + gloss[:, None]
