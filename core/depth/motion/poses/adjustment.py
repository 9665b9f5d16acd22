"""Poses of a key frame's partners and the inverse depths of points, adjusted together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.least_squares import fit_robustly, identity, solve
from core.depth.motion.pose import NEAREST_Z, OUTLIER_PX, Pose, generators, turn
from core.types import TensorDataclass

SMALLEST = 1e-4
"""Inverse depth that points keep at least."""
SMALLEST_CERTAINTY = 1e-6
_DAMPING, _SMALLEST_DAMPING = 1e-4, 1e-9
"""Added to the diagonal, which the unit of all translations would leave singular; the first one as
a share of it."""


@dataclass(frozen=True)
class Points(TensorDataclass):
    """Points of a key frame, their inverse depths, and where its partners see them."""

    rays: Float[Tensor, "3 n"]
    """Where they are seen; the third component is 1."""
    inverse_depths: Float[Tensor, "*batch n"]
    """Along ``rays``."""
    known: Float[Tensor, "*batch n"]
    """Inverse depth as known beforehand."""
    certainty: Float[Tensor, "*batch n"]
    """Inverse variance of ``known``; 0 where nothing is known."""
    seen: Float[Tensor, "p 2 n"]
    """Places (u, v) at which the partners see them, pixels from the centre."""
    trust: Float[Tensor, "*batch p n"]
    """Inverse variance of ``seen``, 1/px^2."""

    def lines(self, focal: Float[Tensor, "2"]) -> Float[Tensor, "p 3 2 n"]:
        """Return vectors whose products with a point, over its z, are errors (u, v) in pixels.

        Args:
            focal: Focal lengths, pixels.
        """
        unit = focal[:, None] * identity(2, focal.dtype, focal.device)
        unit = unit[..., None].expand(len(self.seen), 2, 2, self.seen.shape[-1])
        return torch.cat((unit, -self.seen[:, None]), dim=1)


def adjust_poses(points: Points, pose: Pose, focal: Float[Tensor, "2"], rounds: int) -> Pose:
    """Return the poses that explain matches best, if inverse depths are as they are.

    Errors, times the relative depth before and after a translation, are linear in the
    translation and in a small rotation; weights change from round to round.

    Args:
        points: The points.
        pose: From the key frame to each partner; its rotation is near to the true one.
        focal: Focal lengths, pixels.
        rounds: How often they are weighted.
    """
    lines = points.lines(focal)
    rotated = pose.rotation @ points.rays  # (*batch, p, 3, n)
    goal = -(lines * rotated[..., None, :]).sum(dim=-3, keepdim=True)
    lines = lines.expand(*rotated.shape[:-2], *lines.shape[1:])
    turned = torch.linalg.cross(rotated[..., None, :].expand_as(lines), lines, dim=-3)
    moved = points.inverse_depths[..., None, None, None, :] * lines
    z = rotated[..., 2:, :].clamp_min(NEAREST_Z)[..., None, :]
    rows = torch.cat((turned, moved, goal), dim=-3) / z
    x, _ = fit_robustly(rows, points.trust, OUTLIER_PX, rounds)
    return Pose(turn(x[..., :3]) @ pose.rotation, x[..., 3:])


def adjust(
    points: Points, pose: Pose, focal: Float[Tensor, "2"], rounds: int
) -> tuple[Float[Tensor, "*batch n"], Pose]:
    """Minimise the reprojection error over poses and inverse depths by Gauss-Newton steps.

    Errors are weighted robustly (Geman and McClure 1985). Inverse depths are eliminated from the
    normal equations (Schur complement; Triggs et al. 2000).

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
    lines = points.lines(focal)
    lines = lines.expand(*pose.translation.shape[:-1], *lines.shape[1:])
    certainty = points.certainty + SMALLEST_CERTAINTY
    for _ in range(rounds):
        rows, weight, _ = linearized(points, rho, pose, lines)
        weighted = rows * weight[..., None, None, :]
        normal = weighted[..., :6, :, :].flatten(-2) @ rows.flatten(-2).mT  # (*batch, p, 6, 8)
        by_point = (weighted * rows[..., 6:7, :, :]).sum(dim=-2)  # (*batch, p, 8, n)
        curvature, slope = by_point[..., 6:, :].sum(dim=-3).unbind(-2)
        curvature = curvature + certainty
        slope = torch.addcmul(slope, points.certainty, rho - points.known)
        mixed = by_point[..., :6, :].flatten(-3, -2)  # (*batch, 6 p, n)
        shared = mixed / curvature[..., None, :]
        # Partners share inverse depths only.
        left = on_diagonal(normal[..., :6]) - shared @ mixed.mT
        right = (shared @ slope[..., None])[..., 0] - normal[..., 7].flatten(-2)
        step = solve(left, right)
        rho = rho - (slope + (step[..., None, :] @ mixed)[..., 0, :]) / curvature
        rho = rho.clamp_min(SMALLEST)
        pose = pose.moved(step.unflatten(-1, (count, 6)))
    return rho, pose


def linearized(
    points: Points,
    rho: Float[Tensor, "*batch n"],
    pose: Pose,
    lines: Float[Tensor, "*batch p 3 2 n"],
) -> tuple[
    Float[Tensor, "*batch p 8 2 n"], Float[Tensor, "*batch p n"], Float[Tensor, "*batch p 3 n"]
]:
    """Return errors in pixels and what they change by, their weights, and the points moved.

    Args:
        points: The points.
        rho: Inverse depths.
        pose: From the key frame to each partner.
        lines: Of :meth:`Points.lines`.

    Returns:
        Derivatives by the pose (a rotation from the left and a translation) and by the inverse
        depth, and the errors; the weights of matches; the points as each partner sees
        them, times ``rho``.
    """
    rotated = pose.rotation @ points.rays  # (*batch, p, 3, n)
    y = torch.addcmul(rotated, rho[..., None, None, :], pose.translation[..., None])
    turned = torch.linalg.cross(rotated[..., None, :].expand_as(lines), lines, dim=-3)
    moved = rho[..., None, None, None, :] * lines
    by_depth = (lines * pose.translation[..., None, None]).sum(dim=-3, keepdim=True)
    error = (lines * y[..., None, :]).sum(dim=-3, keepdim=True)
    z = y[..., 2:, :].clamp_min(NEAREST_Z)[..., None, :]
    rows = torch.cat((turned, moved, by_depth, error), dim=-3) / z
    squared = rows[..., 7, :, :].square().sum(dim=-2)
    return rows, points.trust / (1 + squared / OUTLIER_PX**2).square(), y


def robust_turn(
    points: Points, focal: Float[Tensor, "2"], deviation_px: float, rounds: int
) -> tuple[Pose, Float[Tensor, "p n"]]:
    """Return poses that only turn, and explain the matches best, and the distances they leave.

    With unit vectors ``a`` and ``b`` and a rotation by Cayley's map of ``g``, ``b - a`` is
    ``g x (a + b)``: linear in ``g``, for rotations of any size.

    Args:
        points: The points; their inverse depths count nothing.
        focal: Focal lengths, pixels.
        deviation_px: Least deviation beyond which a match counts little; else it is their median.
        rounds: How often matches are weighted.
    """
    places = points.seen / focal[:, None]
    there = torch.cat((places, torch.ones_like(places[:, :1])), dim=1)
    # A direction's error in pixels, about: unit vectors times focal length and length of the ray.
    per_radian = points.rays.norm(dim=0) * focal.mean()
    a = points.rays / points.rays.norm(dim=0)
    b = there / there.norm(dim=1, keepdim=True)
    by_turn = generators(a.dtype, a.device).flatten(0, 1) @ (a + b)  # (p, 9, n)
    rows = torch.cat((by_turn, b - a), dim=1).unflatten(1, (4, 3)) * per_radian
    is_seen = points.trust > 0
    g, squared = fit_robustly(rows, is_seen.to(rows.dtype), deviation_px, rounds, is_seen)
    return Pose(turn(2 * g), torch.zeros_like(g)), squared.sqrt()


def on_diagonal(matrices: Float[Tensor, "*batch p 6 6"]) -> Float[Tensor, "*batch k k"]:
    """Return the matrices of the partners on the diagonal of one, damped."""
    blocks, ridge = _blocks(matrices.shape[-3], matrices.dtype, matrices.device)
    return (matrices.unsqueeze(-2) * blocks).flatten(-4, -3).flatten(-2) + ridge


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _blocks(
    count: int, dtype: torch.dtype, device: torch.device
) -> tuple[Float[Tensor, "p 6 p 6"], Float[Tensor, "k k"]]:
    """Return what lays matrices on a diagonal, and damps them, and what is added to that."""
    unit = torch.eye(count, dtype=dtype)[:, None, :, None].expand(count, 6, count, 6)
    damping = _DAMPING * torch.eye(6 * count, dtype=dtype).unflatten(0, (count, 6))
    blocks = unit + damping.unflatten(2, (count, 6))
    return blocks.to(device), _SMALLEST_DAMPING * torch.eye(6 * count, dtype=dtype, device=device)
