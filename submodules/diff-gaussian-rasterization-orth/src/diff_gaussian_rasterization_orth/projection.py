"""From dynamic Gaussians to Gaussians on the screen: plain PyTorch, differentiable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diff_gaussian_rasterization_orth.constants import (
    ALPHA_MIN,
    COVARIANCE_BLUR,
    EXTENT_SIGMAS,
    FAR_INVERSE_DEPTH,
    INVERSE_DEPTH_EPS,
    NEAR_INVERSE_DEPTH,
)
from diff_gaussian_rasterization_orth.inputs import SceneInputs


@dataclass(frozen=True)
class ScreenGaussians:
    """Gaussians of ``b`` scenes at ``t`` times, in pixels."""

    means2d: Float[Tensor, "b t n 2"]
    """Centres (u to the right, v down); the first pixel's centre is (0, 0)."""
    conics: Float[Tensor, "b n 3"]
    """Inverse covariances (uu, uv, vv), 1 / square pixels."""
    depths: Float[Tensor, "b t n"]
    """Distance along the viewing direction; that of an invisible Gaussian is arbitrary."""
    opacities: Float[Tensor, "b t n"]
    """Opacities at each time."""
    extents: Float[Tensor, "b t n 2"]
    """Half width and height of the box outside of which a Gaussian is not drawn; no gradient."""
    visible: Bool[Tensor, "b t n"]
    """Valid, not faded, and its box touches the image."""


def project(inputs: SceneInputs, image_size: tuple[int, int]) -> ScreenGaussians:
    """Move, fade and project all Gaussians to all times.

    Args:
        inputs: Validated scenes.
        image_size: Height and width in pixels.
    """
    height, width = image_size
    tau = inputs.times[:, :, None] - inputs.anchor_times[:, None]  # (b, t, n)
    x, inverse_depths, z = _displace(inputs, tau).unbind(-1)
    valid = (inverse_depths >= 0) & (inverse_depths <= 1)
    # An invalid inverse depth may hit the pole of the map, whose gradient would be NaN.
    depths = _depth(torch.where(valid, inverse_depths, 0.5))
    means2d = torch.stack(
        [((x + 1) * width - 1) / 2, ((1 - z) * height - 1) / 2], dim=-1
    )  # (b, t, n, 2)
    opacities = _fade(inputs, tau)
    variances, covariance, determinant = _project_covariances(inputs, image_size)
    var_u, var_v = variances
    conics = torch.stack([var_v, -covariance, var_u], dim=-1) / determinant[..., None]
    with torch.no_grad():
        extents = _extents(var_u, var_v, covariance, opacities)
        last_pixel = means2d.new_tensor([width - 1, height - 1])
        on_screen = (means2d + extents >= 0) & (means2d - extents <= last_pixel)
        visible = valid & (opacities >= ALPHA_MIN) & on_screen.all(-1)
    return ScreenGaussians(means2d, conics, depths, opacities, extents, visible)


def _displace(inputs: SceneInputs, tau: Float[Tensor, "b t n"]) -> Float[Tensor, "b t n 3"]:
    """Move centres along their polynomials, which have no constant term."""
    degree = inputs.motion.shape[2]
    exponents = torch.arange(1, degree + 1, dtype=tau.dtype, device=tau.device)
    basis = tau[..., None] ** exponents  # (b, t, n, k)
    return inputs.means[:, None] + torch.einsum("bnkc,btnk->btnc", inputs.motion, basis)


def _depth(inverse_depths: Float[Tensor, "b t n"]) -> Float[Tensor, "b t n"]:
    span = NEAR_INVERSE_DEPTH - FAR_INVERSE_DEPTH
    return 1 / (inverse_depths * span + FAR_INVERSE_DEPTH + INVERSE_DEPTH_EPS)


def _fade(inputs: SceneInputs, tau: Float[Tensor, "b t n"]) -> Float[Tensor, "b t n"]:
    """Opacities at each time: a logistic window that is 1 at the anchor."""
    slopes, half_lives = inputs.opacity_slopes[:, None], inputs.opacity_half_lives[:, None]
    window = torch.sigmoid(-slopes * (tau.abs() - half_lives))
    return inputs.opacities[:, None] * (window / torch.sigmoid(slopes * half_lives))


def _project_covariances(
    inputs: SceneInputs, image_size: tuple[int, int]
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Return the variances along u and v, their covariance, and the determinant, each (b, n).

    The covariance is J Jᵀ + blur·I, where ``ju`` and ``jv`` are the rows of
    J = diag(W/2, H/2)·R_view·R·S. Its determinant is summed from positive terms (the squared cross
    product of the rows is that of J Jᵀ), so that float32 never loses it, however thin the Gaussian.
    """
    height, width = image_size
    w, x, y, z = inputs.quats.unbind(-1)
    right = torch.stack(
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], dim=-1
    )  # (b, n, 3), first row of R
    up = torch.stack(
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=-1
    )  # last row of R
    ju = right * inputs.scales * (width / 2)
    jv = up * inputs.scales * (-height / 2)
    uu, vv, uv = (ju * ju).sum(-1), (jv * jv).sum(-1), (ju * jv).sum(-1)
    normal = torch.linalg.cross(ju, jv)
    determinant = (normal * normal).sum(-1) + COVARIANCE_BLUR * (uu + vv) + COVARIANCE_BLUR**2
    return (uu + COVARIANCE_BLUR, vv + COVARIANCE_BLUR), uv, determinant


def _extents(
    var_u: Float[Tensor, "b n"],
    var_v: Float[Tensor, "b n"],
    covariance: Float[Tensor, "b n"],
    opacities: Float[Tensor, "b t n"],
) -> Float[Tensor, "b t n 2"]:
    """Half sides of the smaller of two boxes.

    One is the square of three deviations of the larger axis, the other just holds the ellipse
    where alpha is at least 1/255, beyond which nothing is drawn anyway.
    """
    half_difference = (var_u - var_v) / 2
    larger = (var_u + var_v) / 2 + torch.sqrt(half_difference.square() + covariance.square())
    square = EXTENT_SIGMAS * torch.sqrt(larger)
    sigmas = torch.sqrt(2 * torch.log(opacities.clamp_min(ALPHA_MIN) / ALPHA_MIN))
    ellipse = torch.stack([var_u, var_v], dim=-1).sqrt()[:, None] * sigmas[..., None]
    return torch.minimum(ellipse, square[:, None, :, None])
