"""The way out of canonical space: from an orthographic relief to a scene for pinhole cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.geometry.cameras import Lens
from core.geometry.canonical import depth_from_inverse_depth
from core.geometry.rotations import matrices_from_quats
from core.types import DynamicGaussians


@dataclass(frozen=True)
class LiftedGaussians:
    """``b`` still scenes of ``n`` Gaussians in the frame of the input view's pinhole camera.

    Axes: X right, Y down, Z forward, the camera at the origin; one unit is one unit of depth.
    """

    means: Float[Tensor, "b n 3"]
    """Centres (X, Y, Z)."""
    covars: Float[Tensor, "b n 3 3"]
    """Covariances along the same axes."""
    colors: Float[Tensor, "b n 3"]
    """RGB in [0, 1]."""
    opacities: Float[Tensor, "b n"]
    """Opacities in [0, 1]."""
    valid: Bool[Tensor, "b n"]
    """False where the inverse depth had left [0, 1]: such a Gaussian is not part of the scene."""


def covariances(
    scales: Float[Tensor, "*batch 3"], quats: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch 3 3"]:
    """Return ``R S Sᵀ Rᵀ`` for standard deviations ``scales`` along axes turned by ``quats``."""
    axes = matrices_from_quats(quats) * scales[..., None, :]
    return axes @ axes.mT


def lift_means(
    means: Float[Tensor, "*batch 3"], lens: Lens
) -> tuple[Float[Tensor, "*batch 3"], Bool[Tensor, "*batch"]]:
    """Place centres (x, inverse depth, z) as :func:`lift` does.

    Returns:
        Centres (X, Y, Z), and whether the inverse depth is in [0, 1]; where it is not, Z is that of
        0.5.
    """
    x, inverse_depth, z = means.unbind(-1)
    valid = (inverse_depth >= 0) & (inverse_depth <= 1)
    depth = depth_from_inverse_depth(torch.where(valid, inverse_depth, 0.5))
    across = depth / lens.focal
    return torch.stack([x * across, -z * lens.aspect * across, depth], dim=-1), valid


def lift(
    gaussians: DynamicGaussians, lens: Lens, slopes: Float[Tensor, "b n 2"] | None = None
) -> LiftedGaussians:
    """Place still Gaussians so that a pinhole camera sees what the orthographic view shows.

    With ``Z`` the depth, ``f`` the focal length and ``r`` the aspect of the lens, a centre goes to
    ``(x Z/f, -z r Z/f, Z)``: in a camera at the origin it projects onto the very pixel where the
    orthographic view has it. Axis scales grow by ``Z/f`` along x, ``r Z/f`` along z and the mean of
    the two along the depth, whose axis is the ray through the centre, so that the footprint is kept
    as well.

    Args:
        gaussians: Scenes as they are at one time, see :func:`core.geometry.motion.freeze_at`.
            Whatever motion and opacity windows they have is left aside.
        lens: Field of view and aspect of the *picture*; where the model's frame was stretched, the
            aspect before stretching, so that the lifted scene has natural proportions.
        slopes: By how much Gaussians recede along canonical x and z, see
            :func:`core.geometry.surfaces.surface_slopes`; None lets them face the input camera.
    """
    means, valid = lift_means(gaussians.means, lens)
    across = means[..., 2] / lens.focal
    down = lens.aspect * across
    along = (across + down) / 2
    zero = torch.zeros_like(across)
    ray = means * (along / means[..., 2])[..., None]
    to_pinhole = torch.stack(  # (b, n, 3, 3)
        [torch.stack([across, zero, zero], -1), ray, torch.stack([zero, -down, zero], -1)], dim=-1
    )
    if slopes is not None:
        to_pinhole = to_pinhole + torch.stack(
            [slopes[..., :1] * ray, torch.zeros_like(ray), slopes[..., 1:] * ray], dim=-1
        )
    return LiftedGaussians(
        means=means,
        covars=to_pinhole @ covariances(gaussians.scales, gaussians.quats) @ to_pinhole.mT,
        colors=gaussians.colors,
        opacities=gaussians.opacities,
        valid=valid,
    )
