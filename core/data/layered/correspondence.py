"""The motion of what the first and the last frame show, which is known exactly."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.layered.motion import LayerMaps, layer_from_view, view_from_layer
from core.data.layered.planes import Planes, look_up

_TOLERANCE_PX = 0.05
"""Largest error of motion that counts as known."""
_BEYOND = 0.25
"""How far outside the frame, in parts of it, motion may lead and counts as known."""


def key_frame_motion(
    maps: LayerMaps, alphas: Float[Tensor, "b l th tw"], planes: Planes
) -> tuple[Float[Tensor, "b 2 2 g_h g_w"], Bool[Tensor, "b 2 g_h g_w"]]:
    """Return how what is seen in the first and the last view moves until the other one.

    Args:
        maps: Where the background and the layers are in the views, of (b, v, l + 1).
        alphas: Opacity of the layers, from far to near.
        planes: Sizes and coordinates.

    Returns:
        Canonical (x, z) displacements at the centres of blocks of 2 by 2 pixels, and where they are
        known: everywhere but where the deformation cannot be inverted, and where they lead far
        outside the frame.
    """
    keys = maps.map(lambda values: torch.stack([values[..., 0, :], values[..., -1, :]], dim=-2))
    spread = keys.map(lambda values: values[..., None, None])
    points = layer_from_view(spread, *planes.half_grid)  # (b, 2, l + 1, g_h, g_w) each
    where = rearrange(planes.normalize(points)[:, :, 1:], "b key l h w xy -> (b l) key h w xy")
    covers = look_up(alphas.flatten(0, 1)[:, None], where)[:, 0] >= 0.5
    covers = covers.unflatten(0, alphas.shape[:2])  # (b, l, 2, g_h, g_w)
    numbers = torch.arange(1, 1 + alphas.shape[1], device=alphas.device, dtype=torch.uint8)
    owners = (covers * numbers[:, None, None, None]).amax(dim=1)  # the foremost covers the others
    chosen = owners[:, :, None].long()
    own = (points[0].gather(2, chosen)[:, :, 0], points[1].gather(2, chosen)[:, :, 0])
    there = keys.map(lambda values: values.flip(-2)).at(owners)
    (there_x, there_y), residual = view_from_layer(there, own)

    (height, width), (x, y) = planes.image_size, planes.half_grid
    aspect, farthest = height / width, 1.0 + 2.0 * _BEYOND
    within = (there_x.abs() <= farthest) & (there_y.abs() <= farthest * aspect)
    known = within & (residual < 2.0 * _TOLERANCE_PX / width)
    # Canonical z is 1 at the upper border, view y is -height / width there.
    return torch.stack([there_x - x, (y - there_y) / aspect], dim=2), known
