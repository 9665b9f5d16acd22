"""Motion supervision, where the motion between the key frames is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.geometry.motion import displace_means
from core.types import DynamicGaussians


def motion_loss(
    gaussians: DynamicGaussians,
    grid: tuple[int, int],
    motion: Float[Tensor, "b 2 2 h w"],
    motion_known: Bool[Tensor, "b 2 h w"],
) -> Float[Tensor, ""]:
    """Mean distance between where Gaussians arrive at the other key frame and where they should.

    A term of our own: photometric gradients reach about as far as a Gaussian is wide, and without
    a hint a small network learns to fade rather than to move.

    Args:
        gaussians: A pair's Gaussians, those of the first key frame (anchored at 0), then those of
            the second (anchored at 1), each row-major on ``grid``.
        grid: Rows and columns of a key frame's Gaussians.
        motion: Displacements along (x, z) from the first key frame to the second, and back.
        motion_known: Where they are known; other places take no part.

    Returns:
        Mean absolute difference in canonical units where motion is known; 0, with zero gradients,
        where it is known nowhere.
    """
    until_other = 1.0 - 2.0 * gaussians.anchor_times  # (b, 2 n)
    moved = displace_means(torch.zeros_like(gaussians.means), gaussians.motion, until_other)
    target = F.interpolate(motion.flatten(0, 1), grid, mode="nearest-exact")
    target = rearrange(target, "(b pair) xz h w -> b (pair h w) xz", pair=2)
    known = F.interpolate(motion_known.to(motion.dtype), grid, mode="nearest-exact").bool()
    known = rearrange(known, "b pair h w -> b (pair h w)")
    errors = (moved[..., ::2] - target).abs().mean(dim=2)  # (b, 2 n)
    return torch.where(known, errors, 0.0).sum() / known.sum().clamp_min(1)
