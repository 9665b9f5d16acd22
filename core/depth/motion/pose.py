"""Relative pose of two key frames from matches."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float64

from core.depth.motion.camera import Camera

OUTLIER_PX = 0.7
"""Deviation of a match, in pixels of the maps, from which on it counts little."""
_FEWEST = 32
_THRESHOLD_PX = 0.5
_RULING_PX = 2.0
"""Parallax from which on a match counts no more for the sign of a translation."""


@dataclass(frozen=True)
class Pose:
    """Takes points of one key frame's camera axes to those of another: ``R x + t``."""

    rotation: Float64[np.ndarray, "3 3"]
    """``R``."""
    translation: Float64[np.ndarray, "3"]
    """``t``, in the unit of the stream."""

    def scaled(self, factor: float) -> Pose:
        """Return the pose with its translation in another unit."""
        return Pose(self.rotation, self.translation * factor)


def rotation_between(
    first: Float[np.ndarray, "n 3"], second: Float[np.ndarray, "n 3"], sigma: float
) -> Float64[np.ndarray, "3 3"]:
    """Return the rotation that brings directions nearest to others, robustly.

    Kabsch (1976), reweighted five times with Geman-McClure's weights.

    Args:
        first: Rays, of any length.
        second: The rays that they shall become.
        sigma: Deviation, as an angle, beyond which a pair counts little.
    """
    a, b = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in (first, second))
    weights = np.ones(len(a))
    rotation = np.eye(3)
    for _ in range(5):
        u, _, vt = np.linalg.svd(b.T @ (a * weights[:, None]))
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        squared = ((a @ rotation.T - b) ** 2).sum(axis=1)
        scale = max(sigma**2, float(np.median(squared)))
        weights = 1 / (1 + squared / scale) ** 2
    return rotation


def essential_pose(
    first: Float[np.ndarray, "n 2"], second: Float[np.ndarray, "n 2"], camera: Camera
) -> tuple[Pose, Float[np.ndarray, " n"]] | None:
    """Return the pose with a translation of length 1 that explains most matches, and which ones.

    Args:
        first: Pixels.
        second: Where they are seen in the other frame.
        camera: The camera of both.
    """
    if len(first) < _FEWEST:
        return None
    matrix = camera.matrix
    found, mask = cv2.findEssentialMat(
        first, second, matrix, method=cv2.USAC_MAGSAC, prob=0.999, threshold=_THRESHOLD_PX
    )
    if found is None or found.shape != (3, 3):
        return None
    inliers = mask.ravel() > 0
    one, other, translation = cv2.decomposeEssentialMat(found)
    # The other one is turned by half a turn: such pictures have no matches.
    rotation = max(one, other, key=np.trace)
    pose = Pose(rotation, translation.ravel())
    ahead = _parallax_ahead(first[inliers], second[inliers], pose, camera)
    # Distant points, whose sign is that of their noise, count little; one point does not rule.
    if np.clip(ahead, -_RULING_PX, _RULING_PX).sum() < 0:
        pose = pose.scaled(-1)
    return pose, inliers


def _parallax_ahead(
    first: Float[np.ndarray, "n 2"], second: Float[np.ndarray, "n 2"], pose: Pose, camera: Camera
) -> Float[np.ndarray, " n"]:
    """Return the parallax of matches, pixels; it is negative for points behind the camera."""
    rays = np.insert(first, 2, 1, axis=1) @ np.linalg.inv(camera.matrix).T
    x, k = rays @ (camera.matrix @ pose.rotation).T, camera.matrix @ pose.translation
    slope = k[:2] - second * k[2]
    length = np.linalg.norm(slope, axis=1)
    return (slope * (second - x[:, :2] / x[:, 2:])).sum(axis=1) / np.maximum(length, 1e-9)
