"""Colours of what rays hit: texture, light by direction and distance, air."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.lighting import Lighting, tone
from core.data.procedural.appearance.materials import gains
from core.data.procedural.imaging.motion import invert
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


@dataclass(frozen=True)
class _Spots:
    """What is seen at ``n`` points of each scene."""

    point: Float[Tensor, "b n 3"]
    """World coordinates."""
    normal: Float[Tensor, "b n 3"]
    """Unit normal of the surface, towards the camera."""
    sides: Float[Tensor, "b n 2"]
    """Metres from the middle of the rectangle along both sides."""
    to_border: Float[Tensor, "b n 2"]
    """Metres to the nearer border along both sides."""
    extent: Float[Tensor, "b n"]
    """Extent in metres of what a pixel shows."""
    depth: Float[Tensor, "b n"]
    """Depth."""


def shade(
    surfaces: Surfaces,
    light: Light,
    lighting: Lighting,
    bank: TextureBank,
    maps: Float[Tensor, "b v p 3 3"],
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
        maps: Maps of the rectangles into the views.
        posed: The rectangles.
        hits: What is seen at each point.
        x: View coordinates of the columns.
        y: View coordinates of the rows.
        pixel: Side of a pixel in view coordinates.
    """
    b, p = len(maps), maps.shape[2]
    v, h, w = hits.owners.shape[1:]
    owners = hits.owners.flatten(1).long()  # (b, n) with n = v h w
    missed = (owners == p)[..., None]
    owners = owners.clamp(max=p - 1)
    rows = owners + torch.arange(b, device=x.device)[:, None] * p
    spots = _locate(maps, posed, light, owners, x, y, pixel)

    own = Surfaces(*(value.flatten(0, 1)[rows] for value in surfaces.tensors()))
    column, row = (spots.sides / own.tiles[..., None] + own.offsets).unbind(-1)
    layers = bank.look_up(own.textures.to(torch.int32), column, row, spots.extent / own.tiles)
    color = einsum(layers[..., :4], own.palettes, "b n k, b n k c -> b n c")
    color = color * gains(own.grain * layers[..., 4], own.grain * layers[..., 5], dim=-1)
    lit = _light(light.illumination, spots)
    color = color * lit.lerp(torch.ones_like(lit), own.glow[..., None])
    color = color * (1.0 - own.corner * torch.exp(-spots.to_border / 0.3).mean(dim=-1))[..., None]
    air = own.haze[..., 0] * (1.0 - torch.exp(-own.haze[..., 1] * spots.depth))
    air = torch.where(missed, 1.0, air[..., None])
    color = color.lerp(light.air[:, None].expand_as(color), air)
    color = tone(color, lighting.contrast[:, None, None], lighting.exposure[:, None, None])
    return rearrange(color, "b (v h w) c -> b v c h w", v=v, h=h, w=w)


def _locate(
    maps: Float[Tensor, "b v p 3 3"],
    posed: Posed,
    light: Light,
    owners: Int[Tensor, "b n"],
    x: Float[Tensor, " w"],
    y: Float[Tensor, "h 1"],
    pixel: float,
) -> _Spots:
    b, v, p = maps.shape[:3]
    views = torch.arange(b * v, device=x.device).view(b, v)
    views = views.repeat_interleave(owners.shape[1] // v, dim=1)
    rows = owners + views * p  # (b, n)

    def of(table: Float[Tensor, "b v p ..."]) -> Tensor:
        return table.flatten(0, 2)[rows]

    back, right, down = of(invert(maps)), of(posed.rights), of(posed.downs)
    size = (v, y.shape[0], x.shape[0])
    px, py = x.expand(size).flatten()[:, None], y.expand(size).flatten()[:, None]
    # Where nothing is hit, an empty slot may stand in, whose map has no inverse.
    local = (back[..., 0] * px + (back[..., 1] * py + back[..., 2])).nan_to_num()  # (b, n, 3)
    depth = 1.0 / local[..., 2].clamp(min=1e-6)
    local = (local[..., :2] * depth[..., None]).clamp(-1.0, 1.0)
    half = torch.stack([right.norm(dim=-1), down.norm(dim=-1)], dim=-1)

    seen = ((light.eyes[:, None, None] - posed.centers) * posed.normals).sum(dim=-1, keepdim=True)
    normals = posed.normals * torch.where(seen < 0, -1.0, 1.0)
    # By the determinant, the area that a pixel shows grows with the cube of the depth.
    density = torch.linalg.det(maps).abs().clamp(min=1e-12)
    area = pixel**2 * half.prod(dim=-1) / of(density) * depth**3
    across = pixel * depth / light.focal[:, None]
    return _Spots(
        point=of(posed.centers) + local[..., :1] * right + local[..., 1:] * down,
        normal=of(normals),
        sides=local * half,
        to_border=(1.0 - local.abs()) * half,
        # Between the mean of both directions and half the longer one.
        extent=torch.maximum(area.sqrt(), 0.5 * area / across),
        depth=depth,
    )


def _light(illumination: Illumination, spots: _Spots) -> Float[Tensor, "b n 3"]:
    upwards = -spots.normal[..., 1:2]
    ambient = illumination.ambient[:, None, None] * (0.85 + 0.15 * upwards)
    sun = einsum(spots.normal, illumination.sun, "b n c, b c -> b n").clamp(min=0.0)
    way = illumination.lamp[:, None] - spots.point
    squared = (way**2).sum(dim=-1) + 0.05
    lamp = (way * spots.normal).sum(dim=-1).clamp(min=0.0) * squared.rsqrt()
    lamp = lamp / (1.0 + squared / 4.0)
    return ambient + sun[..., None] + lamp[..., None] * illumination.lamp_color[:, None]
