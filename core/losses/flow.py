"""Supervision of motion in pixels, where it is known; and of what is hidden."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.geometry.motion import displace_means
from core.types import DynamicGaussians

_DECAY = 0.8
"""Weight of a flow beside that of the next finer one."""
_EPS = 1e-3
_TOLERANCE = 1.5
"""Pixels by which the way forth and back may miss a place that is visible in both frames."""


def flow_loss(
    flows: Sequence[Float[Tensor, "b 2 2 _ _"]],
    target: Float[Tensor, "b 2 2 h w"],
    known: Bool[Tensor, "b 2 h w"],
) -> Float[Tensor, ""]:
    """Mean end-point error of flows that refine each other, the last one weighing most.

    Photometric gradients reach about as far as a Gaussian is wide; without this a network learns to
    fade rather than to move.

    Args:
        flows: Flow from the first key frame to the second, and back, in pixels, from coarse to
            fine, on grids of any size.
        target: What it should be, in pixels.
        known: Where that is known.

    Returns:
        The weighted mean of the errors in pixels; 0, with zero gradients, where nothing is known.
    """
    weights = [_DECAY**k for k in range(len(flows))][::-1]
    mask = known.flatten(0, 1)
    total = target.new_zeros(())
    for weight, flow in zip(weights, flows, strict=True):
        fine = F.interpolate(
            flow.flatten(0, 1), target.shape[-2:], mode="bilinear", align_corners=False
        )
        squared = (fine - target.flatten(0, 1)).square().sum(dim=1)  # (b 2, h, w)
        errors = torch.where(mask, (squared + _EPS**2).sqrt() - _EPS, 0.0)
        total = total + weight * errors.sum()
    return total / (sum(weights) * mask.sum().clamp_min(1))


def hidden_loss(
    logits: Float[Tensor, "b 2 h w"],
    target: Float[Tensor, "b 2 2 h w"],
    known: Bool[Tensor, "b 2 h w"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy of what is hidden in the other key frame, where its motion is known.

    Args:
        logits: Of each place of the first key frame being hidden in the second, and the reverse.
        target: Motion from the first to the second, and back, in pixels; see :func:`is_hidden`.
        known: Where that is known.
    """
    label = is_hidden(target, known)
    losses = F.binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="none")
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp_min(1)


def is_hidden(
    flow: Float[Tensor, "b 2 2 h w"], known: Bool[Tensor, "b 2 h w"]
) -> Bool[Tensor, "b 2 h w"]:
    """Return what cannot be seen in the other frame: it is covered there, or outside.

    A place is covered where the other frame shows something that does not come from it. Where the
    other frame's motion is not known it counts as visible.

    Args:
        flow: Exact motion from the first frame to the second, and back, in pixels of frames twice
            as large as its grid.
        known: Where it is known.
    """
    height, width = flow.shape[-2:]
    own = flow.flatten(0, 1) / 2  # in cells
    others = torch.cat((flow, known[:, :, None].to(flow.dtype)), dim=2).flip(1).flatten(0, 1)
    v, u = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=flow.dtype),
        torch.arange(width, device=flow.device, dtype=flow.dtype),
        indexing="ij",
    )
    places = torch.stack((u, v)) + own + 0.5  # from the corner, in cells
    size = flow.new_tensor((width, height))[:, None, None]
    grid = rearrange(2 * places / size - 1, "b uv h w -> b h w uv")
    shown = F.grid_sample(others, grid, padding_mode="border", align_corners=False)
    mismatch = (2 * own + shown[:, :2]).norm(dim=1)
    outside = ((places < 0) | (places > size)).any(dim=1)
    covered = (mismatch > _TOLERANCE) & (shown[:, 2] > 0.99)
    return (outside | covered).unflatten(0, (-1, 2))


def flow_of_gaussians(
    gaussians: DynamicGaussians, grid: tuple[int, int], image_size: tuple[int, int]
) -> Float[Tensor, "b 2 2 h w"]:
    """Return how far each Gaussian of a pair moves until the other key frame, in pixels.

    Args:
        gaussians: Those of the first key frame (anchored at 0), then those of the second (anchored
            at 1), each row-major on ``grid``.
        grid: Rows and columns of a key frame's Gaussians.
        image_size: Height and width of the frames.
    """
    until_other = 1.0 - 2.0 * gaussians.anchor_times  # (b, 2 n)
    moved = displace_means(torch.zeros_like(gaussians.means), gaussians.motion, until_other)
    planes = rearrange(
        moved[..., ::2], "b (pair h w) xz -> b pair xz h w", pair=2, h=grid[0], w=grid[1]
    )
    return pixels_from_displacements(planes, image_size)


def pixels_from_displacements(
    motion: Float[Tensor, "b 2 2 h w"], image_size: tuple[int, int]
) -> Float[Tensor, "b 2 2 h w"]:
    """Turn canonical displacements (x, z) into pixels (u, v)."""
    height, width = image_size
    return motion * motion.new_tensor((width / 2, -height / 2))[:, None, None]
