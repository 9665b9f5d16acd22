"""Peak signal-to-noise ratio."""

from __future__ import annotations

from jaxtyping import Float
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
    if images.shape != targets.shape:
        raise ValueError(
            f"psnr: images have shape {tuple(images.shape)}, targets {tuple(targets.shape)}; "
            "expected the same."
        )
    error = (images.float() - targets.float()).square().mean(dim=(1, 2, 3))
    return -10.0 * error.clamp_min(_MIN_MSE).log10()
