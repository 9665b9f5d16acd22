"""Colours of what rays hit: texture, light by direction and distance, air."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.lighting import Lighting, tone
from core.data.procedural.appearance.materials import gains
from core.data.procedural.imaging.motion import determinant, invert
from core.data.procedural.perspective.raycast import Hits
from core.data.procedural.perspective.surfaces import Surfaces
from core.data.procedural.perspective.texture_bank import TextureBank
from core.data.procedural.perspective.world import Illumination
from core.types import TensorDataclass


@dataclass(frozen=True)
class Light(TensorDataclass):
    """Light and air of ``b`` scenes."""

    illumination: Illumination
    """Where the light comes from."""
    eyes: Float[Tensor, "b 3"]
    """World coordinates of the camera at the reference time; what is lit is the side it sees."""
    focal: Float[Tensor, " b"]
    """Focal length in half widths."""
    air: Float[Tensor, "b 3"]
    """RGB of the air, and of what is infinitely far."""


@dataclass(frozen=True)
class Posed(TensorDataclass):
    """``p`` rectangles in ``v`` views, in world coordinates."""

    centers: Float[Tensor, "b v p 3"]
    """Middle."""
    rights: Float[Tensor, "b v p 3"]
    """Half of the first side."""
    downs: Float[Tensor, "b v p 3"]
    """Half of the second side."""
    normals: Float[Tensor, "b v p 3"]
    """Unit normals."""
    maps: Float[Tensor, "b v p 3 3"]
    """From coordinates on the rectangles to the views; see :mod:`.raycast`."""


@dataclass(frozen=True)
class _Spots:
    """What is seen at ``h`` by ``w`` points of the views."""

    along: tuple[Float[Tensor, "b v h w"], Float[Tensor, "b v h w"]]
    """Metres from the middle of the rectangle along both sides."""
    to_border: tuple[Float[Tensor, "b v h w"], Float[Tensor, "b v h w"]]
    """Metres to the nearer border along both sides."""
    extent: Float[Tensor, "b v h w"]
    """Extent in metres of what a pixel shows."""
    depth: Float[Tensor, "b v h w"]
    """Depth."""
    direct: Float[Tensor, "b v h w"]
    """Light from everywhere and from far away."""
    lamp: Float[Tensor, "b v h w"]
    """Light from nearby."""


def shade(
    surfaces: Surfaces,
    light: Light,
    lighting: Lighting,
    bank: TextureBank,
    posed: Posed,
    hits: Hits,
    x: Float[Tensor, " w"],
    y: Float[Tensor, "h 1"],
    pixel: float,
) -> Float[Tensor, "b v 3 h w"]:
    """Colour the points of views.

    Args:
        surfaces: Look of each rectangle.
        light: Light and air.
        lighting: Tone curve.
        bank: Textures.
        posed: The rectangles.
        hits: What is seen at each point.
        x: View coordinates of the columns.
        y: View coordinates of the rows.
        pixel: Side of a pixel in view coordinates.
    """
    b, _, p = posed.maps.shape[:3]
    owners = hits.owners.long()  # (b, v, h, w)
    missed = owners == p
    owners = owners.clamp(max=p - 1)
    spots = _locate(posed, light, surfaces.roundness, owners, x, y, pixel)
    scenes = torch.arange(b, device=x.device)[:, None, None, None]
    rows = (owners + scenes * p).flatten()

    def own(table: Tensor) -> Tensor:  # (b, v, h, w)
        return _pick(table, rows).view(owners.shape)

    tile, glow, grain = own(surfaces.tiles), own(surfaces.glow), own(surfaces.grain)
    column, row = (
        along / tile + own(offset)
        for along, offset in zip(spots.along, surfaces.offsets.unbind(-1), strict=True)
    )
    numbers = own(surfaces.textures.to(torch.int32))
    texture = bank.look_up(numbers, column, row, spots.extent / tile)
    *weights, brightness, tint = texture.unbind(-1)
    detail = gains(brightness * grain, tint * grain, dim=0)
    border = sum(torch.exp(-distance / 0.3) for distance in spots.to_border)
    shadow = 1.0 - 0.5 * own(surfaces.corner) * border
    air = 1.0 - torch.exp(-own(surfaces.haze[..., 1]) * spots.depth)
    air = torch.where(missed, 1.0, own(surfaces.haze[..., 0]) * air)

    colors = []
    for channel, gain in enumerate(detail):
        palette = surfaces.palettes[..., channel].unbind(-1)
        color = sum(weight * own(entry) for weight, entry in zip(weights, palette, strict=True))
        lit = spots.direct + spots.lamp * _over_points(light.illumination.lamp_color[:, channel])
        color = color * gain * lit.lerp(torch.ones_like(lit), glow) * shadow
        colors.append(color.lerp(_over_points(light.air[:, channel]).expand_as(color), air))
    contrast, exposure = (
        v[:, None, None, None, None] for v in (lighting.contrast, lighting.exposure)
    )
    return tone(torch.stack(colors, dim=2), contrast, exposure)


def _over_points(value: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
    return value[:, None, None, None]


def _pick(table: Tensor, rows: Int[Tensor, " n"]) -> Tensor:
    # One number at a time: gathers of whole rows leave tensors that are slow to compute with.
    return table.flatten().index_select(0, rows)


def _locate(
    posed: Posed,
    light: Light,
    roundness: Float[Tensor, "b p"],
    owners: Int[Tensor, "b v h w"],
    x: Float[Tensor, " w"],
    y: Float[Tensor, "h 1"],
    pixel: float,
) -> _Spots:
    b, v, p = posed.maps.shape[:3]
    views = torch.arange(b * v, device=x.device).view(b, v, 1, 1)
    rows = (owners + views * p).flatten()

    def of(table: Float[Tensor, "b v p"]) -> Float[Tensor, "b v h w"]:
        return _pick(table, rows).view(owners.shape)

    half = torch.stack([posed.rights.norm(dim=-1), posed.downs.norm(dim=-1)], dim=-1)
    # Where nothing is hit, an empty slot may stand in, whose map has no inverse.
    a, c, depth = (
        (of(row[..., 0]) * x + (of(row[..., 1]) * y + of(row[..., 2]))).nan_to_num()
        for row in invert(posed.maps).unbind(-2)
    )
    depth = 1.0 / depth.clamp(min=1e-6)
    a, c = ((local * depth).clamp(-1.0, 1.0) for local in (a, c))
    half_a, half_c = of(half[..., 0]), of(half[..., 1])

    # By the determinant, the area that a pixel shows grows with the cube of the depth.
    density = determinant(posed.maps).abs().clamp(min=1e-12)
    area = of(pixel**2 * half.prod(dim=-1) / density) * depth**3
    across = pixel * depth / _over_points(light.focal)
    lit = _light(light, posed, roundness)
    lamp_a, lamp_c, lamp_height = (of(value) for value in lit.lamp)
    squared = (lamp_a - a * half_a) ** 2 + (lamp_c - c * half_c) ** 2 + lamp_height**2 + 0.05
    return _Spots(
        along=(a * half_a, c * half_c),
        to_border=((1.0 - a.abs()) * half_a, (1.0 - c.abs()) * half_c),
        # Between the mean of both directions and half the longer one.
        extent=torch.maximum(area.sqrt(), 0.5 * area / across),
        depth=depth,
        direct=(of(lit.even) + of(lit.growth[0]) * a + of(lit.growth[1]) * c).clamp(min=0.1),
        lamp=lamp_height.clamp(min=0.0) * squared.rsqrt() / (1.0 + squared / 4.0),
    )


@dataclass(frozen=True)
class _RectangleLight:
    """What lights ``p`` rectangles in ``v`` views."""

    even: Float[Tensor, "b v p"]
    """Light from everywhere and from far away, at their middle."""
    growth: tuple[Float[Tensor, "b v p"], Float[Tensor, "b v p"]]
    """How it grows along both sides of those that stand for something round."""
    lamp: tuple[Float[Tensor, "b v p"], ...]
    """Place of the lamp from their middle: along both sides and towards the camera."""


def _light(light: Light, posed: Posed, roundness: Float[Tensor, "b p"]) -> _RectangleLight:
    illumination = light.illumination
    seen = ((light.eyes[:, None, None] - posed.centers) * posed.normals).sum(dim=-1, keepdim=True)
    normals = posed.normals * torch.where(seen < 0, -1.0, 1.0)
    axes = (F.normalize(posed.rights, dim=-1), F.normalize(posed.downs, dim=-1), normals)
    right, down, facing = (einsum(axis, illumination.sun, "b v p c, b c -> b v p") for axis in axes)
    ambient = illumination.ambient[:, None, None] * (0.85 - 0.15 * normals[..., 1])
    way = illumination.lamp[:, None, None] - posed.centers
    return _RectangleLight(
        even=ambient + facing.clamp(min=0.0),
        growth=(roundness[:, None] * right, roundness[:, None] * down),
        lamp=tuple((way * axis).sum(dim=-1) for axis in axes),
    )
