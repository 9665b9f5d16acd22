"""Perspective views, rendered by the orthographic rasteriser.

A pinhole camera's view of 3D Gaussians is, after the projection, a set of 2D Gaussians in order of
depth: what an orthographic view of flattened Gaussians gives.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor

from core.geometry.cameras import Lens
from core.geometry.canonical import depth_from_inverse_depth, inverse_depth_from_depth
from core.geometry.lift import LiftedGaussians
from core.rendering.coverage import even_coverage
from core.rendering.footprints import beyond_own, pixel_variance, shapes_of
from core.rendering.orthographic import render
from core.types import DynamicGaussians, RenderOutput

_SLOPE_LIMIT = 1.3
"""Rays steeper than this, in half pictures, are linearised as if they were this steep: beyond the
edge of the picture the linear footprint of a Gaussian grows without bound."""


def render_perspective(
    gaussians: LiftedGaussians,
    cam_from_world: Float[Tensor, "b 4 4"],
    lens: Lens,
    image_size: tuple[int, int],
    background: Float[Tensor, "3"] | float = 0.5,
    *,
    model_size: tuple[int, int] | None = None,
    backend: str = "auto",
) -> RenderOutput:
    """Render each scene from a pinhole camera of its own.

    At the identity pose, with the lens of the lift, this is the orthographic picture. The
    rasteriser's depths span a factor of 50: what is nearer than a fiftieth of the farthest centre
    is culled. Not for training: where a footprint is round, its axes have no gradient.

    Args:
        gaussians: Scenes lifted by :func:`core.geometry.lift.lift`.
        cam_from_world: Rigid poses; the identity is the input view.
        lens: Field of view and aspect of the picture.
        image_size: Height and width in pixels; they need not have the lens's aspect.
        background: Colour behind everything, RGB in [0, 1] or one grey.
        model_size: Height and width in pixels of the picture that this lens is to have of the scene
            at the identity pose. What is seen larger than there gets a wider low-pass, see
            :mod:`core.rendering.footprints`, and surfaces are covered evenly, see
            :mod:`core.rendering.coverage`; None keeps what the rasteriser gives.
        backend: The rasteriser's backend.

    Returns:
        One time per scene (``t`` is 1); depth in scene units along the viewing direction.
    """
    flat, unit = flatten(gaussians, cam_from_world, lens, image_size, model_size)
    times = torch.zeros(len(unit), 1, device=unit.device)
    picture = render(flat, times, image_size, background, backend=backend)
    picture = replace(picture, depth=picture.depth / unit[:, :, None, None, None])
    return picture if model_size is None else even_coverage(picture, background, model_size)


def flatten(
    gaussians: LiftedGaussians,
    cam_from_world: Float[Tensor, "b 4 4"],
    lens: Lens,
    image_size: tuple[int, int],
    model_size: tuple[int, int] | None = None,
) -> tuple[DynamicGaussians, Float[Tensor, "b 1"]]:
    """Return each scene, seen from its camera, as still canonical Gaussians, and their unit.

    Rendered in ``image_size`` at any time they are the perspective picture; their depth is in
    ``1 / unit`` of the scene's units. See :func:`render_perspective` for the arguments.
    """
    centers, covars = project(gaussians, cam_from_world, lens)
    if model_size is not None:
        pixels = replace(gaussians, covars=_pixel_covars(gaussians, lens, model_size))
        low_pass = project(pixels, cam_from_world, lens)[1]
        covars = covars + beyond_own(low_pass, image_size)
    depths = centers[..., 2]
    ahead = gaussians.valid & (depths > 0)
    # Scalars stay on the host: a copy of theirs would make it wait for the device.
    near, far = depth_from_inverse_depth(torch.tensor([1.0, 0.0], dtype=depths.dtype))
    farthest = torch.where(ahead, depths, 0).amax(dim=1, keepdim=True)  # (b, 1)
    unit = torch.where(farthest > 0, far / farthest, 1.0)
    shown = ahead & (depths * unit >= near * (1 - 1e-4))  # the nearest of all lie right there
    return _as_canonical(gaussians, centers, covars, unit, shown), unit


def project(
    gaussians: LiftedGaussians, cam_from_world: Float[Tensor, "b 4 4"], lens: Lens
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n 2 2"]]:
    """Project Gaussians by the local affine approximation of the perspective (EWA splatting).

    Source: Zwicker et al., EWA Splatting, 2002: the covariance ``J W Σ Wᵀ Jᵀ`` of a footprint, with
    ``W`` the rotation into the camera and ``J`` the projection's Jacobian at the centre.

    Returns:
        Centres (x, z, depth), x and z in canonical picture units ([-1, 1], z up), depth in scene
        units; and covariances in the same picture units.
    """
    rotation, shift = cam_from_world[:, :3, :3], cam_from_world[:, :3, 3]
    means = gaussians.means @ rotation.mT + shift[:, None]
    depth = means[..., 2]
    safe = torch.where(depth > 0, depth, 1.0)
    x = lens.focal * means[..., 0] / safe
    z = -lens.focal * means[..., 1] / (lens.aspect * safe)
    zero = torch.zeros_like(safe)
    steep_x, steep_z = (s.clamp(-_SLOPE_LIMIT, _SLOPE_LIMIT) for s in (x, z))
    rows = [
        torch.stack([lens.focal / safe, zero, -steep_x / safe], dim=-1),
        torch.stack([zero, -lens.focal / (lens.aspect * safe), -steep_z / safe], dim=-1),
    ]
    jacobian = torch.stack(rows, dim=-2) @ rotation[:, None]  # (b, n, 2, 3)
    covars = jacobian @ gaussians.covars @ jacobian.mT
    return torch.stack([x, z, depth], dim=-1), covars


def _pixel_covars(
    gaussians: LiftedGaussians, lens: Lens, model_size: tuple[int, int]
) -> Float[Tensor, "b n 3 3"]:
    """Return the low-pass of the model's picture where each Gaussian is in the scene."""
    variance_x, variance_z = pixel_variance(model_size)
    across = (gaussians.means[..., 2] / lens.focal).square()
    rows = [variance_x * across, variance_z * lens.aspect**2 * across, torch.zeros_like(across)]
    return torch.diag_embed(torch.stack(rows, dim=-1))


def _as_canonical(
    gaussians: LiftedGaussians,
    centers: Float[Tensor, "b n 3"],
    covars: Float[Tensor, "b n 2 2"],
    unit: Float[Tensor, "b 1"],
    shown: Bool[Tensor, "b n"],
) -> DynamicGaussians:
    """Write projected Gaussians as still canonical ones, depths multiplied by ``unit``."""
    scales, quats = shapes_of(covars)
    zero = torch.zeros_like(centers[..., 0])
    inverse_depth = inverse_depth_from_depth(centers[..., 2] * unit).clamp(0, 1)
    return DynamicGaussians(
        means=torch.stack(
            [centers[..., 0], torch.where(shown, inverse_depth, -1.0), centers[..., 1]], dim=-1
        ),
        motion=repeat(zero, "b n -> b n k 3", k=1)[:, :, :0],
        scales=scales,
        quats=quats,
        colors=gaussians.colors,
        opacities=gaussians.opacities,
        opacity_slopes=zero,
        opacity_half_lives=torch.full_like(zero, 0.5),
        anchor_times=zero,
    )
