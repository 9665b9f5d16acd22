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
    has_motion: Bool[Tensor, " b"],
) -> Float[Tensor, ""]:
    """Mean distance between where Gaussians arrive at the other key frame and where they should.

    A term of our own: photometric gradients reach about as far as a Gaussian is wide, and without
    a hint a small network learns to fade rather than to move.

    Args:
        gaussians: A pair's Gaussians, those of the first key frame (anchored at 0), then those of
            the second (anchored at 1), each row-major on ``grid``.
        grid: Rows and columns of a key frame's Gaussians.
        motion: Displacements along (x, z) from the first key frame to the second, and back.
        has_motion: Samples that take part.

    Returns:
        Mean absolute difference in canonical units over the samples that take part; 0, with zero
        gradients, where there is none.
    """
    until_other = 1.0 - 2.0 * gaussians.anchor_times  # (b, 2 n)
    moved = displace_means(torch.zeros_like(gaussians.means), gaussians.motion, until_other)
    target = F.interpolate(motion.flatten(0, 1), grid, mode="nearest-exact")
    target = rearrange(target, "(b pair) xz h w -> b (pair h w) xz", pair=2)
    errors = (moved[..., ::2] - target).abs().mean(dim=(1, 2))  # (b,)
    return torch.where(has_motion, errors, 0.0).sum() / has_motion.sum().clamp_min(1)
