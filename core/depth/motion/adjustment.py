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
    count = len(poses)
    rho = points.inverse_depths
    for _ in range(rounds):
        h_pp = np.zeros((count, 6, 6))
        h_pd = np.zeros((count, 6, len(rho)))
        b_p = np.zeros((count, 6))
        h_dd = points.certainty + 1e-6
        b_d = points.certainty * (rho - points.known)
        for i, pose in enumerate(poses):
            error, by_pose, by_depth = _linearize(points.rays, rho, points.seen[i], pose, camera)
            squared = (error * error).sum(axis=1)
            weight = points.trust[i] / (1 + squared / OUTLIER_PX**2) ** 2
            weighted = by_pose * weight[:, None, None]  # (n, 2, 6)
            flat = by_pose.reshape(-1, 6)
            h_pp[i] = flat.T @ weighted.reshape(-1, 6)
            b_p[i] = weighted.reshape(-1, 6).T @ error.ravel()
            if not poses_only:
                h_pd[i] = einsum(weighted, by_depth, "n c p, n c -> p n")
                h_dd = h_dd + weight * (by_depth * by_depth).sum(axis=1)
                b_d = b_d + weight * (by_depth * error).sum(axis=1)
        full = np.zeros((6 * count, 6 * count))
        for i in range(count):
            full[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] = h_pp[i]
        crossed = h_pd.reshape(6 * count, -1)
        schur = full - (crossed / h_dd) @ crossed.T
        schur += np.diag(1e-4 * np.diag(full) + 1e-9)
        step = np.linalg.solve(schur, -(b_p.ravel() - (crossed / h_dd) @ b_d))
        if not np.isfinite(step).all():
            break
        poses = [_moved(pose, step[6 * i : 6 * i + 6]) for i, pose in enumerate(poses)]
        if not poses_only:
            rho = rho - (b_d + step @ crossed) / h_dd
            rho = np.maximum(rho, _SMALLEST)
    return replace(points, inverse_depths=rho), poses


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
