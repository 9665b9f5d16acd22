"""Squared colour errors."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def mse(
    rendered: Float[Tensor, "*batch 3 h w"], target: Float[Tensor, "*batch 3 h w"]
) -> Float[Tensor, ""]:
    """Mean squared error over everything."""
    return (rendered - target).square().mean()


def masked_mse(
    rendered: Float[Tensor, "*batch 3 h w"],
    target: Float[Tensor, "*batch 3 h w"],
    mask: Float[Tensor, "*batch 1 h w"],
) -> Float[Tensor, ""]:
    """Mean squared error over the pixels of a mask, all images of the batch together.

    Args:
        rendered: Colours, in [0, 1].
        target: Colours to match, in [0, 1].
        mask: Weight of each pixel: 1 on moving objects, 0 elsewhere.

    Returns:
        The error divided by the mask's own size; 0, with zero gradients, where the mask is empty.
    """
    per_pixel = (rendered - target).square().mean(dim=-3, keepdim=True)  # (*batch, 1, h, w)
    return (per_pixel * mask).sum() / mask.sum().clamp_min(1.0)
