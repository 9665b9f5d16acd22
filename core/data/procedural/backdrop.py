"""The layers behind the objects: sky or wall, ridge or building, and ground."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.procedural.appearance.lighting import Lighting, light_up
from core.data.procedural.appearance.materials import Materials, draw_materials, paint
from core.data.procedural.appearance.palettes import SceneColors, draw_palettes
from core.data.procedural.records import Rows, take_rows
from core.data.randomness.hashing import hash_cells, unit_pair
from core.data.randomness.scene_random import SceneRandom
from core.data.randomness.spectral import spectral_fields
from core.types import HOST, TensorDataclass

WALL, GROUND, RIDGE = range(3)
"""The layers of a backdrop, in the order of painting."""

MARGIN = 1.3
"""How far the backdrop reaches beyond the reference view, as a factor."""

_PATTERN_WEIGHTS = [4.0, 2.0, 1.5, 0.7, 0.7, 1.2, 0.5, 1.0, 0.4]


@dataclass(frozen=True)
class BackdropLayout(TensorDataclass):
    """Geometry of ``b`` backdrops, each of three layers."""

    planes: Float[Tensor, "b 3 3"]
    """Inverse depth of each layer at (x, y, 1) of the reference view."""
    has_sky: Bool[Tensor, " b"]
    """Whether the farthest layer is a sky; otherwise it is a wall."""
    has_ground: Bool[Tensor, " b"]
    """Whether there is a ground plane."""
    has_ridge: Bool[Tensor, " b"]
    """Whether something stands between the objects and the farthest layer."""
    horizon: Float[Tensor, " b"]
    """Height at which the ground ends, in view coordinates (y downwards)."""
    base: Float[Tensor, " b"]
    """Where the ridge meets the ground."""
    ridge_style: Int[Tensor, " b"]
    """Hills, trees, houses, a straight roof or a wall at the side."""
    ridge_params: Float[Tensor, "b 24"]
    """Numbers in [0, 1] that shape the ridge."""
    ridge_key: Int[Tensor, " b"]
    """Key for the heights of houses."""
    clouds: Float[Tensor, "b 2"]
    """Amount and sharpness of clouds."""

    @property
    def nearest(self) -> Float[Tensor, " b"]:
        """Inverse depth of what stands upright in the backdrop, at its nearest."""
        wall = self.planes[:, WALL]
        wall = wall[:, 2] + MARGIN * wall[:, :2].abs().sum(dim=-1)
        return torch.maximum(wall, torch.where(self.has_ridge, self.planes[:, RIDGE, 2], 0.0))


@dataclass(frozen=True)
class BackdropPlan(TensorDataclass):
    """Geometry and look of ``b`` backdrops."""

    present: Bool[Tensor, "b 3"] = field(metadata=HOST)
    """Which of the layers there are; the others are transparent."""
    layout: BackdropLayout
    """Where everything is."""
    materials: Materials
    """Three rows for each scene."""


def draw_backdrop(
    rng: SceneRandom, scene_colors: SceneColors, width: int, aspect: float
) -> BackdropPlan:
    """Draw the backdrop of each scene.

    Args:
        rng: Random generator of the scenes.
        scene_colors: Common colours.
        width: Width of the image in pixels.
        aspect: Height of the image divided by its width.
    """
    has_ground, has_ridge = rng.bernoulli(0.6), rng.bernoulli(0.6)
    horizon = rng.uniform(-0.5, 0.45) * aspect
    far, near = rng.uniform(0.03, 0.1), rng.uniform(0.5, 1.1)
    slope = (near - far) / (aspect - horizon)
    zero = torch.zeros_like(far)
    ground = torch.stack([zero, slope, far - slope * horizon], dim=-1)
    ground = torch.where(has_ground[:, None], ground, torch.stack([zero, zero, far], dim=-1))

    wall_depth = torch.where(has_ground, far * rng.uniform(0.3, 1.0), rng.uniform(0.08, 0.3))
    slant = torch.stack([rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2)], dim=-1)
    slant = torch.where(has_ground[:, None], 0.0, slant * wall_depth[:, None])
    wall = torch.cat([slant, wall_depth[:, None]], dim=-1)

    steepest = wall_depth + MARGIN * slant.abs().sum(dim=-1)
    ridge_depth = torch.where(has_ground, far, steepest) * rng.log_uniform(1.2, 3.0)
    base = torch.where(has_ground, (0.97 * ridge_depth - ground[:, 2]) / slope, 9.0)
    ridge = torch.stack([zero, zero, ridge_depth], dim=-1)
    layout = BackdropLayout(
        planes=torch.stack([wall, ground, ridge], dim=1),
        has_sky=rng.bernoulli(0.75) & (has_ground | has_ridge),
        has_ground=has_ground,
        has_ridge=has_ridge,
        horizon=horizon,
        base=base,
        ridge_style=rng.choose([3.0, 2.0, 1.5, 1.0, 1.0]),
        ridge_params=rng.uniform(0.0, 1.0, 24),
        ridge_key=rng.keys(),
        clouds=rng.uniform(0.0, 1.0, 2),
    )
    palettes = draw_palettes(rng, scene_colors, 3)
    return BackdropPlan(
        present=torch.stack([torch.ones_like(has_ground), has_ground, has_ridge], dim=1),
        layout=layout,
        materials=draw_materials(rng, palettes, _PATTERN_WEIGHTS, width),
    )


def bake_backdrop(
    plan: BackdropPlan, scene_colors: SceneColors, lighting: Lighting, image_size: tuple[int, int]
) -> Float[Tensor, "b 3 4 th tw"]:
    """Paint the layers as the reference view sees them: RGB and opacity.

    The plan lies on the device of ``lighting``. What is not present is not painted.
    """
    height, width = (32 * -(-int(MARGIN * size) // 32) for size in image_size)
    device = lighting.haze.device
    aspect, pixels = image_size[0] / image_size[1], 0.5 * image_size[1]
    rows = Rows.where(plan.present.flatten(), device)
    walls, grounds, ridges = (Rows.where(rows.host % 3 == k, device) for k in range(3))
    scenes = [Rows.where(plan.present[:, k], device) for k in range(3)]
    layout, materials = plan.layout, take_rows(plan.materials, rows)
    planes = plan.layout.planes.flatten(0, 1)[rows.device, :, None, None]
    x = MARGIN * ((2.0 * torch.arange(width, device=device) + 1.0) / width - 1.0)
    y = MARGIN * aspect * ((2.0 * torch.arange(height, device=device) + 1.0) / height - 1.0)
    depths = planes[:, 0] * x + planes[:, 1] * y[:, None] + planes[:, 2]  # (n, h, w)
    x, y = x.expand(height, width), y[:, None].expand(height, width)

    cutoffs = torch.full_like(materials.angle, 0.3)
    fields = spectral_fields(materials.keys, materials.exponents, cutoffs, height, width)
    chart = torch.stack([x, y]).mul(pixels).repeat(len(rows.host), 1, 1, 1)
    footprint = torch.ones_like(depths)
    if len(grounds.host):
        charted, extent = _ground_chart(take_rows(layout, scenes[GROUND]), x, y, pixels)
        chart[grounds.device], footprint[grounds.device] = charted, extent
        fields[grounds.device] = _sample_periodic(fields[grounds.device], charted, extent)

    lighting = take_rows(lighting.repeat(3), rows)
    color = paint(materials, chart, footprint, fields, lighting.direction[:, :2])
    sky = _paint_sky(layout, scene_colors, y / aspect, fields[walls.device])
    has_sky = layout.has_sky[:, None, None, None]
    color[walls.device] = torch.where(has_sky, sky, color[walls.device])
    color = light_up(color, x, y, depths, _clear_sky(lighting, layout, walls))
    opacity = torch.ones_like(depths)
    if len(grounds.host):
        horizon = take_rows(layout, scenes[GROUND]).horizon[:, None, None]
        opacity[grounds.device] = _soft_step((y - horizon) * pixels)
    if len(ridges.host):
        opacity[ridges.device] = _ridge_opacity(
            take_rows(layout, scenes[RIDGE]), x, y, fields[ridges.device], pixels
        )
    canvases = torch.zeros(len(layout.horizon) * 3, 4, height, width, device=device)
    canvases[rows.device] = torch.cat([color, opacity[:, None]], dim=1)
    return rearrange(canvases, "(b l) c h w -> b l c h w", l=3)


def _soft_step(distance: Tensor) -> Tensor:
    return (distance + 0.5).clamp(0.0, 1.0)


def _clear_sky(lighting: Lighting, layout: BackdropLayout, walls: Rows) -> Lighting:
    # A sky is painted with its haze already in it.
    haze = lighting.haze.clone()
    haze[walls.device] = torch.where(layout.has_sky, 0.0, haze[walls.device])
    return replace(lighting, haze=haze)


def _ground_chart(
    layout: BackdropLayout, x: Float[Tensor, "h w"], y: Float[Tensor, "h w"], pixels: float
) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b h w"]]:
    # Seen from a camera at height 1 / slope, a ground point lies at (x, 1) / inverse depth. The
    # unit is chosen so that a pixel at the lower edge of the image has a footprint of about 1.
    slope, offset = layout.planes[:, GROUND, 1, None, None], layout.planes[:, GROUND, 2, None, None]
    depths = (slope * y + offset).clamp(min=0.02)
    nearest = depths.amax(dim=(-2, -1), keepdim=True) / MARGIN
    unit = nearest * pixels
    chart = torch.stack([x * unit / depths, unit / slope.clamp(min=0.1) / depths], dim=1)
    footprint = nearest / depths * (nearest / depths).sqrt()
    return chart, footprint


def _sample_periodic(
    fields: Float[Tensor, "b c h w"],
    chart: Float[Tensor, "b 2 h w"],
    footprint: Float[Tensor, "b h w"],
) -> Float[Tensor, "b c h w"]:
    # A pyramid of periodic textures, blended between the two levels nearest to the footprint.
    height, width = fields.shape[-2:]
    u, v = torch.remainder(chart[:, 0] / width, 1.0), torch.remainder(chart[:, 1] / height, 1.0)
    u, v = 2.0 * u - 1.0, 2.0 * v - 1.0
    wanted = footprint.clamp(min=1.0).log2()
    result = torch.zeros_like(fields)
    for level in range(6):
        tile = F.avg_pool2d(fields, 2**level) if level else fields
        th, tw = tile.shape[-2:]
        tile = F.pad(tile, (1, 1, 1, 1), mode="circular")
        inner = torch.stack([u * (tw / (tw + 2.0)), v * (th / (th + 2.0))], dim=-1)
        weight = (1.0 - (wanted - level).abs()).clamp(min=0.0)
        if level == 5:
            weight = (wanted - 4.0).clamp(0.0, 1.0)
        result += weight[:, None] * F.grid_sample(tile, inner, align_corners=False)
    return result


def _paint_sky(
    layout: BackdropLayout,
    scene_colors: SceneColors,
    y: Float[Tensor, "h w"],
    fields: Float[Tensor, "b 4 h w"],
) -> Float[Tensor, "b 3 h w"]:
    horizon = torch.where(layout.has_ground, layout.horizon, 0.3)[:, None, None] / 0.5625
    climb = ((horizon - y) / 1.2).clamp(0.0, 1.0)[:, None]
    zenith, low = scene_colors.sky[:, 0, :, None, None], scene_colors.sky[:, 1, :, None, None]
    sky = low.lerp(zenith, climb**0.8)
    amount, sharpness = layout.clouds[:, 0, None, None], layout.clouds[:, 1, None, None]
    density = fields[:, 2] + 0.5 * fields[:, 3] + 0.12 * fields[:, 0] + 2.2 * amount - 2.0
    cover = torch.sigmoid((1.5 + 4.0 * sharpness) * density)
    # Thick parts of a cloud are darker below than its rim.
    shade = 1.02 - 0.22 * torch.sigmoid(2.0 * (density - 0.8)) + 0.04 * fields[:, 1]
    white = 0.35 * low + 0.65
    return sky.lerp(white * shade[:, None], 0.9 * cover[:, None])


def _ridge_opacity(
    layout: BackdropLayout,
    x: Float[Tensor, "h w"],
    y: Float[Tensor, "h w"],
    fields: Float[Tensor, "b 4 h w"],
    pixels: float,
) -> Float[Tensor, "b h w"]:
    params = layout.ridge_params[..., None, None]  # (b, 24, 1, 1)
    style = layout.ridge_style[:, None, None]
    top = torch.where(layout.has_ground, layout.base - 0.05, 0.15)[:, None, None]
    top = top - 0.3 * params[:, 0]
    k = torch.arange(1, 9, device=x.device)[:, None, None]
    waves = torch.sin(1.1 * k**1.4 * x + 6.2832 * layout.ridge_params[:, 1:9, None, None])
    waves = (waves * layout.ridge_params[:, 9:17, None, None] / k**1.2).sum(dim=1)
    hills = top - 0.16 * waves
    trees = top - 0.05 * waves - 0.035 * fields[:, 0] - 0.03 * fields[:, 2]
    lot = (x / (0.1 + 0.15 * params[:, 17])).floor()
    tall, notch = unit_pair(hash_cells(layout.ridge_key[:, None, None], lot, lot * 0.0))
    houses = top - 0.3 * tall * (notch > 0.15)
    roof = top + 0.25 * (params[:, 18] - 0.5) * x
    edge = torch.where(style == 0, hills, torch.where(style == 1, trees, houses))
    edge = torch.where(style == 3, roof, edge)
    inside = y - edge
    side = torch.where(params[:, 19] > 0.5, 1.0, -1.0)
    beside = side * x - 0.1 - 0.5 * params[:, 20] + 0.3 * (params[:, 21] - 0.5) * y
    inside = torch.where(style == 4, beside, inside)
    inside = torch.minimum(inside, layout.base[:, None, None] - y)
    return _soft_step(inside * pixels)
