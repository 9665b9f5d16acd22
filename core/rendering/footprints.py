"""Footprints of Gaussians on the picture, and how wide they are in pictures of another size.

A model's Gaussians are made to be seen through the rasteriser's low-pass, ``COVARIANCE_BLUR``
square pixels *of the model's picture*. In a larger picture a pixel is a smaller part of the
scene: with the same number of its pixels Gaussians would leave gaps between them. There the low-
pass has to grow with the picture, which then shows the same function of the place, sampled more
finely. Where a pixel covers more of the scene than one of the model's, the rasteriser's own low-
pass is the wider one.

This is the 3D smoothing filter of Mip-Splatting (Yu et al., 2024, section 4.1) along the two axes
in which the model's picture samples the scene. Opacities stay: the model has learnt them with it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from diff_gaussian_rasterization_orth.constants import COVARIANCE_BLUR
from jaxtyping import Float
from torch import Tensor

from core.geometry.rotations import matrices_from_quats
from core.rendering.orthographic import render
from core.types import DynamicGaussians, RenderOutput


def pixel_variance(image_size: tuple[int, int]) -> tuple[float, float]:
    """Return the low-pass of a picture's own pixels, variances of canonical x and z."""
    height, width = image_size
    return COVARIANCE_BLUR * (2 / width) ** 2, COVARIANCE_BLUR * (2 / height) ** 2


def beyond_own(
    low_pass: Float[Tensor, "*batch 2 2"], image_size: tuple[int, int]
) -> Float[Tensor, "*batch 2 2"]:
    """Return what a low-pass adds to that of a picture's own pixels; along no axis less than 0."""
    along = low_pass.diagonal(dim1=-2, dim2=-1)
    # Scalars stay on the host: a copy of theirs would make it wait for the device.
    missing = [along[..., i] - own for i, own in enumerate(pixel_variance(image_size))]
    return low_pass + torch.diag_embed(torch.stack(missing, dim=-1).clamp_min(0) - along)


def widen(
    gaussians: DynamicGaussians, image_size: tuple[int, int], model_size: tuple[int, int]
) -> DynamicGaussians:
    """Return what the orthographic camera is to see in a picture of another size than the model's.

    Gaussians are flat afterwards: their extent along the depth, which that camera does not see, is
    lost. At the model's size and below they are returned as they are.

    Args:
        gaussians: Scenes.
        image_size: Height and width in pixels of the picture.
        model_size: Height and width in pixels for which the Gaussians were made.
    """
    if all(side <= own for side, own in zip(image_size, model_size, strict=True)):
        return gaussians
    axes = matrices_from_quats(gaussians.quats) * gaussians.scales[..., None, :]
    rows = axes[..., [0, 2], :]  # (b, n, 2, 3)
    low_pass = torch.diag(rows.new_tensor(pixel_variance(model_size)))
    scales, quats = shapes_of(rows @ rows.mT + beyond_own(low_pass, image_size))
    return replace(gaussians, scales=scales, quats=quats)


def shapes_of(
    covars: Float[Tensor, "b n 2 2"],
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n 4"]]:
    """Return scales and quaternions of flat Gaussians with these footprints in canonical x and z.

    Not for training: where a footprint is round, its axes have no gradient.
    """
    a, c, b = covars[..., 0, 0], covars[..., 1, 1], covars[..., 0, 1]
    middle, reach = (a + c) / 2, torch.hypot((a - c) / 2, b)
    major = middle + reach
    minor = ((a * c - b * b) / major.clamp_min(1e-30)).clamp_min(0)  # no cancellation, unlike m - r
    scale_x, scale_z = major.sqrt(), minor.sqrt()
    # A turn by θ about the depth axis takes x to (cos θ, -sin θ) in the plane of x and z.
    half_turn = -torch.atan2(2 * b, a - c) / 4
    zero = torch.zeros_like(a)
    return (
        torch.stack([scale_x, (scale_x + scale_z) / 2, scale_z], dim=-1),
        torch.stack([half_turn.cos(), zero, half_turn.sin(), zero], dim=-1),
    )


def render_enlarged(
    gaussians: DynamicGaussians,
    times: Float[Tensor, "b t"],
    image_size: tuple[int, int],
    background: Float[Tensor, "*background 3"] | float = 0.5,
    *,
    model_size: tuple[int, int],
    backend: str = "auto",
) -> RenderOutput:
    """Render as :func:`core.rendering.render` what :func:`widen` returns."""
    enlarged = widen(gaussians, image_size, model_size)
    return render(enlarged, times, image_size, background, backend=backend)
