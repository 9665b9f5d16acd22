"""Which device, and which rasteriser, this machine can offer."""

from __future__ import annotations

import torch

from core.checks import UserError
from core.rendering import render
from core.types import DynamicGaussians


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is CUDA where there is one, and the CPU elsewhere.

    Raises:
        UserError: If there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name} is no device; choose auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name} has no rasteriser; choose auto, cpu or cuda.")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0]
        raise UserError(
            f"--device {name} cannot be used here ({reason}); choose auto or cpu."
        ) from error
    return device


def check_rasterizer(backend: str, device: torch.device) -> None:
    """Draw one Gaussian, so that a backend that cannot be used shows before the work begins.

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
        raise UserError(f"--backend {backend}: {error}") from error
