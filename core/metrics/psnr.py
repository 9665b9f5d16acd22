"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_MIN_MSE = 1e-10


def psnr(
    images: Float[Tensor, "b c h w"], targets: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each image, in dB, for a data range of 1.

    Args:
        images: Values in [0, 1]; what lies outside is not clamped here.
        targets: The truth, of the same shape.

    Returns:
        One value per image; equal images give 100 dB rather than infinity.

    Raises:
        ValueError: If the shapes differ.
    """
    return _decibels(_squared_error(images, targets).mean(dim=(1, 2, 3)))


def masked_psnr(
    images: Float[Tensor, "b c h w"],
    targets: Float[Tensor, "b c h w"],
    masks: Bool[Tensor, "b h w"],
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio over some pixels of each image, in dB; see :func:`psnr`.

    Args:
        images: Values in [0, 1].
        targets: The truth, of the same shape.
        masks: Which pixels count.

    Returns:
        One value per image; NaN where no pixel counts.

    Raises:
        ValueError: If the shapes differ.
    """
    error = _squared_error(images, targets).mean(dim=1)  # (b, h, w)
    return weighted_psnr(error, masks.to(error.dtype))


def weighted_psnr(
    squared_errors: Float[Tensor, "b h w"], weights: Float[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of weighted mean squared errors, in dB; NaN for no weight."""
    total = weights.sum(dim=(1, 2))
    return _decibels((squared_errors * weights).sum(dim=(1, 2)) / total)


def _squared_error(images: Tensor, targets: Tensor) -> Float[Tensor, "b c h w"]:
    if images.shape != targets.shape:
        raise ValueError(
            f"psnr: images have shape {tuple(images.shape)}, targets {tuple(targets.shape)}; "
            "expected the same."
        )
    dtype = torch.promote_types(images.dtype, torch.float32)
    return (images.to(dtype) - targets.to(dtype)).square()


def _decibels(mean_squared_error: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    return -10.0 * mean_squared_error.clamp_min(_MIN_MSE).log10()
