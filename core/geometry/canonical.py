"""Canonical orthographic space: pixels, axes and the inverse-depth map (docs/conventions.md)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NEAR_INVERSE_DEPTH = 10.0
FAR_INVERSE_DEPTH = 0.2
_EPS = 1e-6


def depth_from_inverse_depth(inverse_depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map normalised inverse depth in [0, 1] (1 is near) to depth, from about 5 down to 0.1.

    StreamSplat's affine-inverse map: ``1 / (d * (10 - 0.2) + 0.2 + 1e-6)``.
    """
    span = NEAR_INVERSE_DEPTH - FAR_INVERSE_DEPTH
    return 1.0 / (inverse_depth * span + FAR_INVERSE_DEPTH + _EPS)


def inverse_depth_from_depth(depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Invert :func:`depth_from_inverse_depth`; depths outside its range leave [0, 1]."""
    span = NEAR_INVERSE_DEPTH - FAR_INVERSE_DEPTH
    return (1.0 / depth - FAR_INVERSE_DEPTH - _EPS) / span


def normalize_inverse_depth(
    inverse_depth: Float[Tensor, "*batch h w"],
) -> Float[Tensor, "*batch h w"]:
    """Scale each map to [0, 1] by its own minimum and maximum; a constant map becomes 0."""
    low = inverse_depth.amin(dim=(-2, -1), keepdim=True)
    span = inverse_depth.amax(dim=(-2, -1), keepdim=True) - low
    return torch.where(span > 0, (inverse_depth - low) / torch.where(span > 0, span, 1.0), 0.0)


def pixel_centers(
    height: int, width: int, *, device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Return the canonical (x, z) of the pixel centres of a ``height`` by ``width`` grid.

    x runs from -1 + 1/width to 1 - 1/width to the right, z from 1 - 1/height downwards.
    """
    x = (2.0 * torch.arange(width, device=device, dtype=torch.float32) + 1.0) / width - 1.0
    z = 1.0 - (2.0 * torch.arange(height, device=device, dtype=torch.float32) + 1.0) / height
    return x.expand(height, width), z[:, None].expand(height, width)


def pixels_from_canonical(
    positions: Float[Tensor, "*batch 3"], image_size: tuple[int, int]
) -> Float[Tensor, "*batch 2"]:
    """Return the pixel coordinates (u, v) at which positions (x, inverse depth, z) are seen.

    Args:
        positions: Canonical; the inverse depth does not matter.
        image_size: Height and width in pixels; (0, 0) is the centre of the first pixel.
    """
    height, width = image_size
    x, _, z = positions.unbind(-1)
    return torch.stack([((x + 1) * width - 1) / 2, ((1 - z) * height - 1) / 2], dim=-1)


def canonical_from_pixels(
    points: Float[Tensor, "*batch 2"],
    inverse_depths: Float[Tensor, "*batch"],
    image_size: tuple[int, int],
) -> Float[Tensor, "*batch 3"]:
    """Return the positions (x, inverse depth, z) that are seen at pixel coordinates (u, v)."""
    height, width = image_size
    u, v = points.unbind(-1)
    return torch.stack([(2 * u + 1) / width - 1, inverse_depths, 1 - (2 * v + 1) / height], dim=-1)
