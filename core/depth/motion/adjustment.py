"""Poses of a key frame's partners and the inverse depths of points, adjusted together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from einops import einsum
from jaxtyping import Float

from core.depth.motion.camera import Camera
from core.depth.motion.pose import OUTLIER_PX, Pose

_NEAREST_Z = 0.05
_SMALLEST = 1e-4
"""Inverse depth that points keep at least."""
_SMALLEST_CERTAINTY = 1e-6
_DAMPING, _SMALLEST_DAMPING = 1e-4, 1e-9
"""Added to the diagonal, which the unit of all translations would leave singular."""


@dataclass(frozen=True)
class Points:
    """Points of a key frame, their inverse depths, and where its partners see them."""

    rays: Float[np.ndarray, "n 3"]
    """Where they are seen."""
    inverse_depths: Float[np.ndarray, " n"]
    """Along ``rays``."""
    known: Float[np.ndarray, " n"]
    """Inverse depth as known beforehand."""
    certainty: Float[np.ndarray, " n"]
    """Inverse variance of ``known``; 0 where nothing is known."""
    seen: Float[np.ndarray, "p n 2"]
    """Pixels at which the partners see them."""
    trust: Float[np.ndarray, "p n"]
    """Inverse variance of ``seen``, 1/px^2."""


def adjust(
    points: Points, poses: list[Pose], camera: Camera, rounds: int, *, poses_only: bool = False
) -> tuple[Points, list[Pose]]:
    """Minimise the reprojection error over poses and inverse depths by Gauss-Newton steps.

    Inverse depths are eliminated from the normal equations (Schur complement; Triggs et al. 2000).
    Errors are weighted robustly (Geman and McClure 1985).

    Args:
        points: The points.
        poses: From the key frame to each partner.
        camera: The camera of all.
        rounds: Steps.
        poses_only: Leave the inverse depths as they are.
    """
    rho = points.inverse_depths
    for _ in range(rounds):
        equations = _normal_equations(points, rho, poses, camera)
        if poses_only:
            equations = replace(equations, mixed=np.zeros_like(equations.mixed))
        shared = equations.mixed / equations.by_depth
        left = equations.by_pose - shared @ equations.mixed.T
        left += np.diag(_DAMPING * np.diag(equations.by_pose) + _SMALLEST_DAMPING)
        right = equations.pose_error - shared @ equations.depth_error
        step = np.linalg.solve(left, -right)
        poses = [_moved(pose, part) for pose, part in zip(poses, step.reshape(-1, 6), strict=True)]
        if not poses_only:
            change = (equations.depth_error + step @ equations.mixed) / equations.by_depth
            rho = np.maximum(rho - change, _SMALLEST)
    return replace(points, inverse_depths=rho), poses


@dataclass(frozen=True)
class _NormalEquations:
    """Second derivatives of the error by poses and inverse depths, and its first derivatives."""

    by_pose: Float[np.ndarray, "p6 p6"]
    """Block diagonal: partners share inverse depths only."""
    mixed: Float[np.ndarray, "p6 n"]
    by_depth: Float[np.ndarray, " n"]
    pose_error: Float[np.ndarray, " p6"]
    depth_error: Float[np.ndarray, " n"]


def _normal_equations(
    points: Points, rho: Float[np.ndarray, " n"], poses: list[Pose], camera: Camera
) -> _NormalEquations:
    """Linearise the weighted errors of all partners."""
    count = len(poses)
    by_pose = np.zeros((6 * count, 6 * count))
    mixed = np.zeros((6 * count, len(rho)))
    pose_error = np.zeros(6 * count)
    by_depth = points.certainty + _SMALLEST_CERTAINTY
    depth_error = points.certainty * (rho - points.known)
    for i, pose in enumerate(poses):
        own = slice(6 * i, 6 * i + 6)
        error, of_pose, of_depth = _linearize(points.rays, rho, points.seen[i], pose, camera)
        squared = (error * error).sum(axis=1)
        weight = points.trust[i] / (1 + squared / OUTLIER_PX**2) ** 2
        weighted = of_pose * weight[:, None, None]  # (n, 2, 6)
        rows = weighted.reshape(-1, 6)
        by_pose[own, own] = rows.T @ of_pose.reshape(-1, 6)
        pose_error[own] = rows.T @ error.ravel()
        mixed[own] = einsum(weighted, of_depth, "n c p, n c -> p n")
        by_depth = by_depth + weight * (of_depth * of_depth).sum(axis=1)
        depth_error = depth_error + weight * (of_depth * error).sum(axis=1)
    return _NormalEquations(by_pose, mixed, by_depth, pose_error, depth_error)


def _linearize(
    rays: Float[np.ndarray, "n 3"],
    rho: Float[np.ndarray, " n"],
    seen: Float[np.ndarray, "n 2"],
    pose: Pose,
    camera: Camera,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2 6"], Float[np.ndarray, "n 2"]]:
    """Return the reprojection error, and its derivatives by the pose and by inverse depth.

    A pose changes by a rotation from the left and a translation.
    """
    rotated = rays @ pose.rotation.T
    y = rotated + rho[:, None] * pose.translation
    z = np.maximum(y[:, 2], _NEAREST_Z)
    f = camera.focal_px
    u, v = y[:, 0] / z, y[:, 1] / z
    center = camera.matrix[:2, 2]
    error = np.stack((f * u + center[0], f * v + center[1]), axis=1) - seen
    zero = np.zeros_like(z)
    inverse = f / z
    projection = np.stack(
        (inverse, zero, -inverse * u, zero, inverse, -inverse * v), axis=1
    ).reshape(-1, 2, 3)
    rx, ry, rz = rotated.T
    cross = np.stack((zero, rz, -ry, -rz, zero, rx, ry, -rx, zero), axis=1).reshape(-1, 3, 3)
    by_pose = np.concatenate((projection @ cross, projection * rho[:, None, None]), axis=2)
    by_depth = projection @ pose.translation
    return error, by_pose, by_depth


def _moved(pose: Pose, step: Float[np.ndarray, "6"]) -> Pose:
    turn, _ = cv2.Rodrigues(step[:3])
    return Pose(turn @ pose.rotation, pose.translation + step[3:])
