"""Surfaces that recede, found in the grid of a key frame's Gaussians.

Gaussians of a key frame face the input camera. Those of a surface that recedes lie apart in depth,
and from the side the background shows between them. Sheared along the ray by the slope of the
surface, each of them covers its part of it from everywhere, and the input camera sees no change.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.geometry.cameras import Lens
from core.geometry.canonical import (
    FAR_INVERSE_DEPTH,
    NEAR_INVERSE_DEPTH,
    depth_from_inverse_depth,
)

_WINDOW = 2
"""Gaussians over which a difference of inverse depths is taken."""
_MOST_BEND = 3.0
"""Ratio of two adjacent differences up to which they belong to one surface."""
_MOST_SLOPE = 12.0
"""Steeper is no surface, but the edge of one."""


def surface_slopes(
    means: Float[Tensor, "*batch n 3"], grid_size: tuple[int, int], lens: Lens
) -> Float[Tensor, "*batch n 2"]:
    """Return by how much the surface around each Gaussian recedes along canonical x and z.

    The inverse depth of a plane is linear in the picture. Along each axis two adjacent differences
    are looked at on the side where they differ less, which at the edge of an object is its own
    side. Where they agree, the smaller one is the slope; else no surface is there, and it is 0.

    Args:
        means: Centres (x, inverse depth, z) of whole grids, one after the other, at their anchors.
        grid_size: Rows and columns of a grid.
        lens: Of the lift.

    Returns:
        Units of the covariance's depth axis (see :func:`core.geometry.lift.lift`) for each of x
        and z.
    """
    rows, columns = grid_size
    inverse_depth = rearrange(means[..., 1], "... (g r c) -> ... g r c", r=rows, c=columns)
    along_x = _slopes(inverse_depth) * (columns / 2)
    along_z = _slopes(inverse_depth.mT).mT * (-rows / 2)
    depth = depth_from_inverse_depth(inverse_depth.clamp(0, 1))
    # A unit of the depth axis is a depth of Z (1 + r) / 2f; d is the inverse depth.
    per_d = (FAR_INVERSE_DEPTH - NEAR_INVERSE_DEPTH) * depth * (2 * lens.focal / (1 + lens.aspect))
    slopes = torch.stack([along_x * per_d, along_z * per_d], dim=-1)
    is_surface = slopes.square().sum(-1, keepdim=True) <= _MOST_SLOPE**2
    return rearrange(torch.where(is_surface, slopes, 0), "... g r c xz -> ... (g r c) xz")


def _slopes(values: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    """Return slopes along a line of places; 0 where no surface is."""
    count = values.shape[-1]
    padded = F.pad(values, (2 * _WINDOW, 2 * _WINDOW), value=torch.nan)
    steps = (padded[..., _WINDOW:] - padded[..., :-_WINDOW]) / _WINDOW
    far_behind, behind, ahead, far_ahead = (
        steps[..., part * _WINDOW :][..., :count] for part in range(4)
    )
    bends = (far_behind - behind).abs(), (far_ahead - ahead).abs()
    is_ahead = bends[1] < bends[0].nan_to_num(torch.inf)
    first, second = (
        torch.where(is_ahead, *side) for side in ((far_ahead, far_behind), (ahead, behind))
    )
    low, high = torch.minimum(first.abs(), second.abs()), torch.maximum(first.abs(), second.abs())
    is_surface = (first * second > 0) & (high <= _MOST_BEND * low)  # false where one is missing
    return torch.where(is_surface, torch.where(first.abs() < second.abs(), first, second), 0)
