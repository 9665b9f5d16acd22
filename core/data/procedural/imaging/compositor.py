"""Paints stacks of textured planes, back to front, at the points of the image asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.procedural.imaging.motion import invert


@dataclass(frozen=True)
class LayerStack:
    """``l`` textured planes of ``b`` scenes, ordered from the farthest to the nearest."""

    planes: Float[Tensor, "b l 3"]
    """Inverse depth at ``(x, y, 1)`` of the reference view, see :mod:`.motion`."""
    charts: Float[Tensor, "b l 3 3"]
    """Map the reference view to texture coordinates in [-1, 1]."""
    textures: tuple[Float[Tensor, "b c th tw"], ...]
    """One for each layer: RGB, opacity and, where there are five channels, the shadow's shape."""
    shadow_offsets: Float[Tensor, "b l 2"]
    """Where a layer's shadow falls, relative to the layer, in texture coordinates."""
    shadow_opacities: Float[Tensor, "b l"]
    """How much light the shadow takes away."""
    moving: Bool[Tensor, "b l"]
    """Which layers move on their own."""


@dataclass(frozen=True)
class Composite:
    """What is seen at ``h`` by ``w`` points of ``v`` views."""

    colors: Float[Tensor, "b v 3 h w"]
    """RGB in [0, 1]."""
    inverse_depths: Float[Tensor, "b v h w"]
    """Inverse depth of the foremost layer that covers at least half of the point."""
    layers: Int[Tensor, "b v h w"]
    """Which layer that is."""


def _times_points(
    rows: Float[Tensor, "b v k 3"], x: Float[Tensor, "..."], y: Float[Tensor, "..."]
) -> Float[Tensor, "b v h w k"]:
    # x and y broadcast to (b, v, h, w); on a pixel grid they are a row and a column, so that
    # only one operation is full-size.
    at_x, at_y, constant = rows[:, :, None, None].unbind(-1)  # (b, v, 1, 1, k) each
    return at_x * x[..., None] + (at_y * y[..., None] + constant)


def _look_up(
    texture: Float[Tensor, "b c th tw"], where: Float[Tensor, "b v h w 2"]
) -> Float[Tensor, "b c v h w"]:
    views, height = where.shape[1:3]
    found = F.grid_sample(texture, where.flatten(1, 2), padding_mode="border", align_corners=False)
    return found.unflatten(2, (views, height))


def _ways_back(
    stack: LayerStack, homographies: Float[Tensor, "b v l 3 3"]
) -> Float[Tensor, "b v l 4 3"]:
    # Rows that a point of a view is multiplied with: texture coordinates, their common divisor,
    # and the inverse depth there.
    back = invert(homographies)
    to_texture = stack.charts[:, None] @ back
    to_inverse_depth = stack.planes[:, None, :, None] @ back
    return torch.cat([to_texture, to_inverse_depth], dim=-2)


def composite(
    stack: LayerStack,
    homographies: Float[Tensor, "b v l 3 3"],
    x: Float[Tensor, "..."],
    y: Float[Tensor, "..."],
) -> Composite:
    """Blend the layers at points of the views.

    Args:
        stack: The layers; the first must cover everything.
        homographies: Each layer's way from the reference view into each view.
        x: View coordinates that broadcast with ``y`` to (b, v, h, w).
        y: See ``x``.
    """
    matrices = _ways_back(stack, homographies)
    colors = inverse_depths = layers = None
    for index, texture in enumerate(stack.textures):
        uv, scale, inverse_depth = matrices[:, :, index].split([2, 1, 1], dim=-2)
        where = _times_points(uv, x, y).div_(_times_points(scale, x, y))  # (b, v, h, w, 2)
        inverse_depth = _times_points(inverse_depth, x, y)[..., 0]
        found = _look_up(texture[:, :4], where)
        color, opacity = found[:, :3], found[:, 3]  # (b, 3, v, h, w), (b, v, h, w)
        if colors is None or inverse_depths is None or layers is None:
            colors = color.clone()
            inverse_depths = inverse_depth.clone()
            layers = torch.zeros_like(opacity, dtype=torch.uint8)
            continue
        if texture.shape[1] == 5:
            colors *= 1.0 - _shadow(stack, index, where)[:, None]
        colors = colors.lerp_(color, opacity[:, None])
        covered = opacity >= 0.5
        inverse_depths = torch.where(covered, inverse_depth, inverse_depths)
        layers = layers.masked_fill_(covered, index)
    assert colors is not None
    assert inverse_depths is not None
    assert layers is not None
    return Composite(colors.transpose(1, 2), inverse_depths, layers)


def foremost(
    stack: LayerStack,
    homographies: Float[Tensor, "b v l 3 3"],
    x: Float[Tensor, "..."],
    y: Float[Tensor, "..."],
) -> Int[Tensor, "b v h w"]:
    """Return which layer is seen at points of the views; arguments as for :func:`composite`."""
    matrices = _ways_back(stack, homographies)
    size = torch.broadcast_shapes((*matrices.shape[:2], 1, 1), x.shape, y.shape)
    layers = torch.zeros(size, dtype=torch.uint8, device=x.device)
    for index, texture in enumerate(stack.textures[1:], start=1):
        uv, scale, _ = matrices[:, :, index].split([2, 1, 1], dim=-2)
        where = _times_points(uv, x, y).div_(_times_points(scale, x, y))
        layers.masked_fill_(_look_up(texture[:, 3:4], where)[:, 0] >= 0.5, index)
    return layers


def _shadow(
    stack: LayerStack, index: int, where: Float[Tensor, "b v h w 2"]
) -> Float[Tensor, "b v h w"]:
    offset = stack.shadow_offsets[:, index, None, None, None]  # (b, 1, 1, 1, 2)
    shape = _look_up(stack.textures[index][:, 4:], where - offset)[:, 0]
    return shape * stack.shadow_opacities[:, index, None, None, None]
