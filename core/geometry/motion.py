"""Dynamic Gaussians at a given time: polynomial motion and opacity windows."""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from core.types import DynamicGaussians


def displace_means(
    means: Float[Tensor, "*batch n 3"],
    motion: Float[Tensor, "*batch n k 3"],
    time: Float[Tensor, "*batch n"],
) -> Float[Tensor, "*batch n 3"]:
    """Move Gaussian centres along their polynomial trajectories.

    There is no constant term, so ``time == 0`` returns ``means`` exactly.

    Args:
        means: Centres at the anchor time, canonical units.
        motion: Coefficient ``j`` multiplies ``time**(j+1)``; canonical units.
        time: Time since each Gaussian's anchor; 1 is the distance between two key frames.

    Raises:
        ValueError: If the two do not describe the same Gaussians.
    """
    if motion.shape[:-2] != means.shape[:-1]:
        raise ValueError(
            f"displace_means: motion has shape {tuple(motion.shape)}, means {tuple(means.shape)}; "
            f"expected motion of shape {(*means.shape[:-1], 'k', 3)}. "
            "Were the Gaussians pruned after decoding?"
        )
    powers = torch.arange(1, motion.shape[-2] + 1, device=time.device, dtype=time.dtype)
    basis = time[..., None] ** powers  # (*batch, n, k)
    return means + einsum(motion, basis, "... n k xyz, ... n k -> ... n xyz")


def opacities_at(
    opacities: Float[Tensor, "*batch n"],
    slopes: Float[Tensor, "*batch n"],
    half_lives: Float[Tensor, "*batch n"],
    time: Float[Tensor, "*batch n"],
) -> Float[Tensor, "*batch n"]:
    """Fade Gaussians along their logistic opacity windows.

    ``o * sigmoid(-a (|t| - b)) / sigmoid(a b)``: the given opacity at ``time == 0``, falling with
    the distance in time.

    Args:
        opacities: Opacities at the anchor time.
        slopes: ``a``, at least 0.
        half_lives: ``b``, in (0, 1).
        time: Time since each Gaussian's anchor.
    """
    window = torch.sigmoid(-slopes * (time.abs() - half_lives))
    return opacities * window / torch.sigmoid(slopes * half_lives)


def freeze_at(gaussians: DynamicGaussians, time: float | Float[Tensor, ""]) -> DynamicGaussians:
    """Return the scenes as they are at ``time``: no motion, constant opacity, anchored there."""
    since_anchor = time - gaussians.anchor_times
    zeros = torch.zeros_like(gaussians.opacities)
    return DynamicGaussians(
        means=displace_means(gaussians.means, gaussians.motion, since_anchor),
        motion=gaussians.motion[:, :, :0],
        scales=gaussians.scales,
        quats=gaussians.quats,
        colors=gaussians.colors,
        opacities=opacities_at(
            gaussians.opacities,
            gaussians.opacity_slopes,
            gaussians.opacity_half_lives,
            since_anchor,
        ),
        opacity_slopes=zeros,
        opacity_half_lives=torch.full_like(zeros, 0.5),
        anchor_times=zeros + time,
    )
