"""The perceptual loss (LPIPS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

_IMAGES_AT_ONCE = 16
_SIZE = (256, 256)

Distance = Callable[[Tensor, Tensor], Tensor]
"""Gives one value for each pair of images."""


def perceptual_loss(
    distance: Distance,
    rendered: Float[Tensor, "n 3 h w"],
    targets: Float[Tensor, "n 3 h w"],
) -> Float[Tensor, ""]:
    """Mean distance between images that are resized to 256 by 256, differentiable in ``rendered``.

    Each few images are differentiated as soon as they are measured, so that what a deep network
    keeps for its backward pass is there for those alone, and nothing is computed twice.

    Args:
        distance: Gives one value for each pair of images; its own weights are not trained.
        rendered: RGB in [0, 1].
        targets: RGB in [0, 1].
    """
    if not (torch.is_grad_enabled() and rendered.requires_grad):
        return _mean(distance, rendered, targets, None)
    loss = _MeanDistance.apply(rendered, targets, distance)
    assert isinstance(loss, Tensor)
    return loss


class _MeanDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rendered: Tensor, targets: Tensor, distance: Distance) -> Tensor:
        gradient = torch.empty_like(rendered)
        loss = _mean(distance, rendered, targets, gradient)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_loss: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = ctx.saved_tensors
        return v_loss * gradient, None, None


def _mean(
    distance: Distance,
    rendered: Float[Tensor, "n 3 h w"],
    targets: Float[Tensor, "n 3 h w"],
    gradient: Float[Tensor, "n 3 h w"] | None,
) -> Float[Tensor, ""]:
    """Return the mean distance, and write its gradient to ``gradient`` where that is wanted."""
    total = rendered.new_zeros(())
    for first in range(0, len(rendered), _IMAGES_AT_ONCE):
        few = slice(first, first + _IMAGES_AT_ONCE)
        with torch.set_grad_enabled(gradient is not None):
            leaf = rendered[few].detach().requires_grad_(gradient is not None)
            part = distance(_resize(leaf), _resize(targets[few])).sum() / len(rendered)
        if gradient is not None:
            (gradient[few],) = torch.autograd.grad(part, leaf)
        total = total + part.detach()
    return total


def _resize(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 256 256"]:
    return F.interpolate(images, _SIZE, mode="bilinear", align_corners=False, antialias=True)
