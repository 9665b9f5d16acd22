"""Which rasteriser this machine can offer."""

from __future__ import annotations

import torch

from core.checks import UserError
from core.rendering import render
from core.types import DynamicGaussians


def check_rasterizer(backend: str, device: torch.device) -> None:
    """Render one Gaussian, so that a backend that cannot be used is noticed before the work.

    Raises:
        UserError: If it cannot; the message names the alternatives.
    """
    one = torch.full((1, 1), 0.5, device=device)
    three, zeros = one[..., None].expand(1, 1, 3), torch.zeros_like(one)
    dot = DynamicGaussians(
        means=three,
        motion=torch.zeros(1, 1, 0, 3, device=device),
        scales=three,
        quats=torch.tensor([[[1.0, 0, 0, 0]]], device=device),
        colors=three,
        opacities=one,
        opacity_slopes=zeros,
        opacity_half_lives=one,
        anchor_times=zeros,
    )
    try:
        render(dot, zeros, (8, 8), backend=backend)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"backend {backend}: {error}") from error
