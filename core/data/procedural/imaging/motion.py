"""How planes move through the image: exact homographies of a pinhole camera and of bodies.

View coordinates: x to the right in [-1, 1], y downwards in the same unit (half the width), so that
pixels are square. The reference view is the one at time 0.5. A plane is three numbers ``w``: its
inverse depth at ``q = (x, y, 1)`` of the reference view is ``w . q``. With a point's motion
``P' = A P + T`` and the camera matrix ``K``, the reference view is mapped onto the new one by
``H = K (A K0^-1 + T w^T)``, and the inverse depth there is ``w . H^-1 q'``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass

FOCAL = 1.6
"""Focal length in half widths: a horizontal field of view of 64 degrees."""


@dataclass(frozen=True)
class CameraMotion(TensorDataclass):
    """Motion of the camera: quadratics in (time - 0.5) without constant term, and a shake."""

    turn: Float[Tensor, "b 2 3"]
    """Coefficients of yaw, pitch and roll in radians."""
    travel: Float[Tensor, "b 2 3"]
    """Coefficients of the translation, in units of depth."""
    zoom: Float[Tensor, "b 2"]
    """Coefficients of the logarithm of the focal length's change."""
    shake: Float[Tensor, "b 2 3"]
    """Amplitude (radians), frequency (cycles per clip) and phase of the trembling yaw and pitch."""


@dataclass(frozen=True)
class BodyMotion(TensorDataclass):
    """Motion of bodies as the reference camera sees it, of the same kind; zeros keep them still."""

    centers: Float[Tensor, "b l 2"]
    """View coordinates of the points about which they spin and stretch."""
    shift: Float[Tensor, "b l 2 3"]
    """Coefficients of the translation, in units of depth."""
    spin: Float[Tensor, "b l 2"]
    """Coefficients of the rotation in the image plane, in radians."""
    stretch: Float[Tensor, "b l 2"]
    """Growth of width and height within a clip, relative."""


def draw_camera_motion(rng: SceneRandom, reach: float) -> CameraMotion:
    """Draw pans, travels, dollies, zooms, rolls and shakes.

    Args:
        rng: Random generator of the scenes.
        reach: Longest path of the image that each of pan and travel cause, in half widths.
    """
    # Each kind of motion is in a part of the scenes only: a tripod stands still, a dolly
    # does not pan. Lengths are drawn in the image, in half widths, as seen at inverse depth 0.6.
    pans, travels, dollies, zooms, rolls, shakes = (
        rng.bernoulli(p).to(torch.float32) for p in (0.55, 0.65, 0.45, 0.25, 0.35, 0.5)
    )
    tripod = 1.0 - rng.bernoulli(0.12).to(torch.float32)
    bend = torch.tensor([1.0, 0.35])[:, None]
    turn = rng.uniform(-1.0, 1.0, 2, 3) * bend
    turn = turn * torch.tensor([1.0, 0.5, 0.0]) * (pans * reach / FOCAL)[:, None, None]
    turn[..., 2] = 0.05 * (reach / 0.1) * rng.uniform(-1.0, 1.0, 2) * bend[:, 0] * rolls[:, None]
    travel = rng.uniform(-1.0, 1.0, 2, 3) * bend * torch.tensor([1.0, 0.5, 0.0])
    travel = travel * (travels * reach / (0.6 * FOCAL))[:, None, None]
    travel[..., 2] = reach * rng.uniform(-1.0, 1.0, 2) * bend[:, 0] * dollies[:, None]
    zoom = 0.6 * reach * rng.uniform(-1.0, 1.0, 2) * bend[:, 0] * zooms[:, None]
    amplitude = 0.04 * reach / FOCAL * rng.uniform(0.0, 1.0, 2) * shakes[:, None]
    shake = torch.stack(
        [amplitude, rng.uniform(0.5, 2.5, 2), rng.uniform(0.0, 1.0, 2)], dim=1
    ).transpose(1, 2)
    still = tripod[:, None, None]
    return CameraMotion(turn * still, travel * still, zoom * still[..., 0], shake * still)


def quadratic(
    coefficients: Float[Tensor, "b *batch 2 d"], tau: Float[Tensor, "b v"]
) -> Float[Tensor, "b v *batch d"]:
    """Evaluate quadratics without constant term at ``tau``."""
    basis = torch.stack([tau, tau**2], dim=-1)
    return einsum(basis, coefficients, "b v k, b ... k d -> b v ... d")


def rotation(angles: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrix that turns by yaw, then pitch, then roll, in radians."""
    (cy, cp, cr), (sy, sp, sr) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)
    yaw = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], dim=-1)
    pitch = torch.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], dim=-1)
    roll = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], dim=-1)
    yaw, pitch, roll = (matrix.unflatten(-1, (3, 3)) for matrix in (yaw, pitch, roll))
    return roll @ pitch @ yaw


def camera_at(
    camera: CameraMotion, tau: Float[Tensor, "b v"], focal: float | Float[Tensor, "b 1 1"]
) -> tuple[Float[Tensor, "b v 3 3"], Float[Tensor, "b v 3"]]:
    """Return ``K R`` and ``K T`` of the camera, whose focal length at ``tau == 0`` is given."""
    amplitude, frequency, phase = camera.shake.unbind(-1)  # (b, 2) each
    tremble = amplitude[:, None] * torch.sin(
        2.0 * math.pi * (frequency[:, None] * tau[..., None] + phase[:, None])
    )
    angles = quadratic(camera.turn, tau)
    angles = torch.cat([angles[..., :2] + tremble, angles[..., 2:]], dim=-1)
    focal = focal * quadratic(camera.zoom[..., None], tau).exp()
    scale = torch.cat([focal, focal, torch.ones_like(focal)], dim=-1)  # (b, v, 3)
    return scale[..., None] * rotation(angles), scale * quadratic(camera.travel, tau)


def homographies(
    camera: CameraMotion,
    bodies: BodyMotion,
    planes: Float[Tensor, "b l 3"],
    times: Float[Tensor, "b v"],
) -> Float[Tensor, "b v l 3 3"]:
    """Map homogeneous view coordinates of the reference view to those at ``times``.

    Scaled so that the third component of the image of ``(x, y, 1)`` is the factor by which the
    point's depth has grown.
    """
    tau = times - 0.5
    turned, travelled = camera_at(camera, tau, FOCAL)
    spin = quadratic(bodies.spin[..., None], tau)[..., 0]  # (b, v, l)
    stretch = torch.exp(bodies.stretch[:, None] * tau[..., None, None])  # (b, v, l, 2)
    zero, one = torch.zeros_like(spin), torch.ones_like(spin)
    rows = [spin.cos(), -spin.sin(), zero, spin.sin(), spin.cos(), zero, zero, zero, one]
    linear = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    linear = linear * torch.cat([stretch, one[..., None]], dim=-1)[..., None, :]

    ray = torch.cat([bodies.centers / FOCAL, torch.ones_like(bodies.centers[..., :1])], dim=-1)
    depth = 1.0 / (planes[..., :2] * bodies.centers).sum(-1).add(planes[..., 2])
    pivot = (ray * depth[..., None])[:, None]  # (b, 1, l, 3)
    moved = pivot - einsum(linear, pivot.expand(linear.shape[:-1]), "... i j, ... j -> ... i")
    moved = moved + quadratic(bodies.shift, tau)

    unprojected = torch.cat([linear[..., :2] / FOCAL, linear[..., 2:]], dim=-1)
    body = unprojected + moved[..., :, None] * planes[:, None, :, None, :]
    camera_part = travelled[:, :, None, :, None] * planes[:, None, :, None, :]
    return turned[:, :, None] @ body + camera_part


def determinant(matrices: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Return determinants of 3x3 matrices by a cross product, too."""
    a, b, c = matrices.unbind(-2)
    return (a * torch.linalg.cross(b, c)).sum(dim=-1)


def invert(matrices: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Invert 3x3 matrices by cross products, which makes no device wait for a check."""
    a, b, c = matrices.unbind(-2)
    columns = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    determinant = (a * columns[0]).sum(dim=-1)
    return torch.stack(columns, dim=-1) / determinant[..., None, None]
