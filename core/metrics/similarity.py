"""PSNR and SSIM of a batch at one size: how every program here compares images."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from core.geometry.resample import resize
from core.metrics.psnr import psnr
from core.metrics.ssim import ssim


@dataclass(frozen=True)
class Similarity:
    """How close each image of a batch is to its target."""

    psnr: Float[Tensor, " b"]
    """Peak signal-to-noise ratio, dB."""
    ssim: Float[Tensor, " b"]
    """Structural similarity, in [-1, 1]."""


def compare(
    images: Float[Tensor, "b 3 h w"],
    targets: Float[Tensor, "b 3 h w"],
    size: tuple[int, int] | None = None,
) -> Similarity:
    """Compare images with their targets.

    Args:
        images: RGB in [0, 1].
        targets: The truth, of the same shape.
        size: Height and width to which both are resized first
            (:func:`core.geometry.resample.resize`); None compares them as they are.

    Raises:
        ValueError: If the shapes differ, or SSIM's window does not fit.
    """
    if size is not None:
        images, targets = resize(images, size), resize(targets, size)
    return Similarity(psnr(images, targets), ssim(images, targets))
