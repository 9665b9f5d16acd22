"""Finds the nearest of many rectangles at each point of a view.

A rectangle's map takes its coordinates (a, b, 1), each in [-1, 1] inside, to homogeneous view
coordinates ``(x, y, 1) * depth``. Its inverse takes ``(x, y, 1)`` to ``(a, b, 1) * inverse depth``:
three linear functions of the point, from which both the test for inside and the depth follow
without a division.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.imaging.motion import invert


@dataclass(frozen=True)
class Cutouts:
    """Outlines of the last ``c`` rectangles of each scene."""

    sprites: Float[Tensor, "o 1 s s"]
    """All outlines, at least one half inside."""
    chosen: Int[Tensor, "b c"]
    """Which of them each rectangle has."""


@dataclass(frozen=True)
class Hits:
    """What is nearest at ``h`` by ``w`` points of ``v`` views."""

    inverse_depths: Float[Tensor, "b v h w"]
    """Inverse depth; 0 where nothing is hit."""
    owners: Int[Tensor, "b v h w"]
    """Which rectangle it is; the number of rectangles where nothing is hit."""


def cast(
    maps: Float[Tensor, "b v p 3 3"],
    cutouts: Cutouts,
    x: Float[Tensor, "..."],
    y: Float[Tensor, "..."],
) -> Hits:
    """Find what is nearest.

    Args:
        maps: Each rectangle's way into each view.
        cutouts: Outlines of the last rectangles; those before them are whole.
        x: View coordinates that broadcast with ``y`` to (b, v, h, w).
        y: See ``x``.
    """
    size = torch.broadcast_shapes((*maps.shape[:2], 1, 1), x.shape, y.shape)
    back = invert(maps)
    if maps.is_cuda:
        from core.data.procedural.perspective.cast_kernel import cast_in_kernel

        return Hits(
            *cast_in_kernel(back, cutouts.sprites, cutouts.chosen, x.expand(size), y.expand(size))
        )
    return _cast_step_by_step(back, cutouts, x, y, size)


def _cast_step_by_step(
    back: Float[Tensor, "b v p 3 3"], cutouts: Cutouts, x: Tensor, y: Tensor, size: torch.Size
) -> Hits:
    count = back.shape[2]
    back = back[..., None, None]  # (b, v, p, 3, 3, 1, 1)
    nearest = torch.zeros(size, device=x.device)
    owners = torch.full(size, count, dtype=torch.int16, device=x.device)
    whole = count - cutouts.chosen.shape[1]
    for index in range(count):
        a, b_, depth = (
            torch.addcmul(torch.addcmul(row[:, :, 2], row[:, :, 1], y), row[:, :, 0], x)
            for row in back[:, :, index].unbind(2)
        )
        hit = torch.maximum(a.abs(), b_.abs()) <= depth
        hit &= depth > nearest
        if index >= whole:
            sprites = cutouts.sprites[cutouts.chosen[:, index - whole]]
            where = torch.stack([a, b_], dim=-1) / depth[..., None]
            where = where.clamp_(-2.0, 2.0).flatten(1, 2)
            inside = F.grid_sample(sprites, where, align_corners=False)
            hit &= inside.view(size) >= 0.5
        nearest = torch.where(hit, depth, nearest)
        owners.masked_fill_(hit, index)
    return Hits(nearest, owners)
