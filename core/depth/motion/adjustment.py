"""Poses of a key frame's partners and the inverse depths of points, adjusted together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.pose import OUTLIER_PX, Pose, identity, solve
from core.types import TensorDataclass

NEAREST_Z = 0.05
_SMALLEST = 1e-4
"""Inverse depth that points keep at least."""
_SMALLEST_CERTAINTY = 1e-6
_DAMPING, _SMALLEST_DAMPING = 1e-4, 1e-9
"""Added to the diagonal, which the unit of all translations would leave singular."""


@dataclass(frozen=True)
class Points(TensorDataclass):
    """Points of a key frame, their inverse depths, and where its partners see them."""

    rays: Float[Tensor, "3 n"]
    """Where they are seen; the third component is 1."""
    inverse_depths: Float[Tensor, " n"]
    """Along ``rays``."""
    known: Float[Tensor, " n"]
    """Inverse depth as known beforehand."""
    certainty: Float[Tensor, " n"]
    """Inverse variance of ``known``; 0 where nothing is known."""
    seen: Float[Tensor, "p 2 n"]
    """Places (u, v) at which the partners see them, pixels from the centre."""
    trust: Float[Tensor, "p n"]
    """Inverse variance of ``seen``, 1/px^2."""


@dataclass(frozen=True)
class Linearized:
    """Errors of reprojection, pixels, and their derivatives."""

    error: Float[Tensor, "p 2 n"]
    by_pose: Float[Tensor, "p 6 2 n"]
    """A pose changes by a rotation from the left and a translation."""
    by_depth: Float[Tensor, "p 2 n"]


def linearize(
    points: Points, rho: Float[Tensor, " n"], pose: Pose, focal: Float[Tensor, "2"]
) -> Linearized:
    """Return by how much partners see points elsewhere than they should.

    Args:
        points: The points.
        rho: Their inverse depths.
        pose: From the key frame to each partner.
        focal: Focal lengths, pixels.
    """
    rotated = pose.rotation @ points.rays  # (p, 3, n)
    y = torch.addcmul(rotated, rho, pose.translation[..., None])
    z = y[:, 2:].clamp_min(NEAREST_Z)
    uv = y[:, :2] / z
    error = focal[:, None] * uv - points.seen
    # Row c of the derivative of (u, v) by y is (e_c - uv_c e_3) / z.
    unit = identity(3, uv.dtype, uv.device)[:2, :2, None].expand(len(uv), 2, 2, uv.shape[-1])
    row = torch.cat((unit, -uv[:, None]), dim=1)  # (p, 3, 2, n)
    turned = torch.linalg.cross(rotated[:, :, None].expand_as(row), row, dim=1)
    slope = focal[:, None] / z  # (p, 2, n)
    by_pose = torch.cat((turned, rho * row), dim=1) * slope[:, None]
    by_depth = (row * pose.translation[:, :, None, None]).sum(dim=1) * slope
    return Linearized(error, by_pose, by_depth)


@dataclass(frozen=True)
class _Equations:
    """Normal equations of the poses, with the inverse depths as they are."""

    linear: Linearized
    weight: Float[Tensor, "p n"]
    weighted: Float[Tensor, "p 6 2 n"]
    """Derivatives by the poses, times their weights."""
    left: Float[Tensor, "p 6 6"]
    right: Float[Tensor, "p 6"]


def _equations(
    points: Points, rho: Float[Tensor, " n"], pose: Pose, focal: Float[Tensor, "2"]
) -> _Equations:
    """Linearise the errors, and weight them robustly (Geman and McClure 1985)."""
    linear = linearize(points, rho, pose, focal)
    squared = linear.error.square().sum(dim=1)
    weight = points.trust / (1 + squared / OUTLIER_PX**2).square()
    weighted = linear.by_pose * weight[:, None, None]
    rows = weighted.flatten(2)  # (p, 6, 2n)
    left = rows @ linear.by_pose.flatten(2).mT
    right = (rows @ linear.error.flatten(1)[..., None])[..., 0]
    return _Equations(linear, weight, weighted, left, right)


def adjust_poses(points: Points, pose: Pose, focal: Float[Tensor, "2"], rounds: int) -> Pose:
    """Minimise the reprojection error of points over poses by Gauss-Newton steps.

    Args:
        points: The points, whose inverse depths stay as they are.
        pose: From the key frame to each partner.
        focal: Focal lengths, pixels.
        rounds: Steps.
    """
    for _ in range(rounds):
        equations = _equations(points, points.inverse_depths, pose, focal)
        left = equations.left + torch.diag_embed(_damping(equations.left))
        pose = pose.moved(solve(left, -equations.right))
    return pose


def adjust(
    points: Points, pose: Pose, focal: Float[Tensor, "2"], rounds: int
) -> tuple[Float[Tensor, " n"], Pose]:
    """Minimise the reprojection error over poses and inverse depths by Gauss-Newton steps.

    Inverse depths are eliminated from the normal equations (Schur complement; Triggs et al. 2000).

    Args:
        points: The points.
        pose: From the key frame to each partner.
        focal: Focal lengths, pixels.
        rounds: Steps.

    Returns:
        Inverse depths and poses.
    """
    rho = points.inverse_depths
    count = len(points.seen)
    diagonal = identity(count, rho.dtype, rho.device)[:, None, :, None]
    for _ in range(rounds):
        equations = _equations(points, rho, pose, focal)
        weight, by_depth = equations.weight, equations.linear.by_depth
        curvature = (weight * by_depth.square().sum(dim=1)).sum(dim=0)
        curvature = curvature + (points.certainty + _SMALLEST_CERTAINTY)
        slope = (weight * (by_depth * equations.linear.error).sum(dim=1)).sum(dim=0)
        slope = slope + points.certainty * (rho - points.known)
        mixed = (equations.weighted * by_depth[:, None]).sum(dim=2).flatten(0, 1)  # (6p, n)
        shared = mixed / curvature
        # Partners share inverse depths only.
        left = (equations.left[:, :, None] * diagonal).reshape(6 * count, 6 * count)
        left = left + torch.diag_embed(_damping(equations.left).flatten())
        step = solve(left - shared @ mixed.mT, shared @ slope - equations.right.flatten())
        pose = pose.moved(step.unflatten(0, (count, 6)))
        rho = (rho - (slope + step @ mixed) / curvature).clamp_min(_SMALLEST)
    return rho, pose


def _damping(left: Float[Tensor, "p 6 6"]) -> Float[Tensor, "p 6"]:
    return _DAMPING * left.diagonal(dim1=1, dim2=2) + _SMALLEST_DAMPING


def robust_turn(
    points: Points, focal: Float[Tensor, "2"], sigma_px: float, rounds: int
) -> tuple[Pose, Float[Tensor, "p n"]]:
    """Return poses that only turn, and explain the matches best, and the distances they leave.

    Args:
        points: The points; their inverse depths count nothing.
        focal: Focal lengths, pixels.
        sigma_px: Least deviation beyond which a match counts little; else it is their median.
        rounds: Gauss-Newton steps.
    """
    count = len(points.seen)
    far = torch.zeros_like(points.inverse_depths)
    rotation = identity(3, far.dtype, far.device).expand(count, 3, 3)
    pose = Pose(rotation, far.new_zeros(count, 3))
    is_seen = points.trust > 0
    weight = is_seen.to(far.dtype)
    squared = weight
    for _ in range(rounds):
        linear = linearize(points, far, pose, focal)
        by_turn = linear.by_pose[:, :3]
        rows = (by_turn * weight[:, None, None]).flatten(2)
        left = rows @ by_turn.flatten(2).mT
        right = (rows @ linear.error.flatten(1)[..., None])[..., 0]
        damping = torch.diag_embed(left.new_full((count, 3), _SMALLEST_DAMPING))
        step = solve(left + damping, -right)
        pose = pose.moved(torch.cat((step, torch.zeros_like(step)), dim=1))
        squared = _turned_error(points, pose, focal)
        scale = masked_median(squared, is_seen).clamp_min(sigma_px**2)
        weight = is_seen / (1 + squared / scale[:, None]).square()
    return pose, squared.sqrt()


def _turned_error(points: Points, pose: Pose, focal: Float[Tensor, "2"]) -> Float[Tensor, "p n"]:
    rotated = pose.rotation @ points.rays
    uv = rotated[:, :2] / rotated[:, 2:].clamp_min(NEAREST_Z)
    return (focal[:, None] * uv - points.seen).square().sum(dim=1)


def masked_median(
    values: Float[Tensor, "*batch n"], mask: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return the lower median of the values that a mask leaves; infinite where it leaves none."""
    ordered = torch.where(mask, values, torch.inf).sort(dim=-1).values
    middle = (mask.sum(dim=-1, keepdim=True) - 1).clamp_min(0) // 2
    return ordered.gather(-1, middle)[..., 0]
