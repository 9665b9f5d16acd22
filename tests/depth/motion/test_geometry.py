"""Poses and points, from matches that are exact."""

from __future__ import annotations

import cv2
import numpy as np

from core.depth.motion.adjustment import Points, adjust
from core.depth.motion.camera import Camera
from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.matching import Matches
from core.depth.motion.pose import Pose, essential_pose, rotation_between
from core.depth.motion.triangulation import triangulate

CAMERA = Camera.of_fov(48, 64, 60.0)


def _turn(*axis: float) -> np.ndarray:
    return cv2.Rodrigues(np.array(axis))[0]


def _project(rays: np.ndarray, rho: np.ndarray, pose: Pose) -> np.ndarray:
    there = (rays @ pose.rotation.T + rho[..., None] * pose.translation) @ CAMERA.matrix.T
    return there[..., :2] / there[..., 2:]


def _scene() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.6, (48, 64)).astype(np.float32)


def test_poses_and_inverse_depths_are_found_together_among_outliers() -> None:
    rng = np.random.default_rng(1)
    rays = CAMERA.rays.reshape(-1, 3)[::4].astype(np.float64)
    rho = rng.uniform(0.2, 0.6, len(rays))
    truth = [Pose(_turn(0.01, -0.02, 0), np.array([0.1, 0, 0.05])),
             Pose(_turn(0, 0.03, 0.01), np.array([0.3, 0.05, 0]))]  # fmt: skip
    seen = np.stack([_project(rays, rho, pose) for pose in truth])
    seen[:, ::7] += rng.uniform(3, 9, seen[:, ::7].shape)
    points = Points(
        rays=rays,
        inverse_depths=rho * rng.uniform(0.9, 1.1, len(rho)),
        known=rho,
        certainty=np.where(np.arange(len(rho)) < 100, 1e4, 0.0),
        seen=seen,
        trust=np.full(seen.shape[:2], 10.0),
    )
    start = [Pose(pose.rotation, 0.8 * pose.translation) for pose in truth]
    found, poses = adjust(points, start, CAMERA, 15)
    for pose, true in zip(poses, truth, strict=True):
        assert np.abs(pose.translation - true.translation).max() < 2e-3
        assert np.abs(pose.rotation - true.rotation).max() < 1e-3
    inliers = np.arange(len(rho)) % 7 != 0
    assert np.median(np.abs(found.inverse_depths / rho - 1)[inliers]) < 0.01


def test_the_essential_matrix_gives_the_direction_of_motion() -> None:
    rays, rho = CAMERA.rays.reshape(-1, 3)[::5], _scene().reshape(-1)[::5]
    true = Pose(_turn(0, 0.02, 0), np.array([0.3, 0, 0.1]))
    first = CAMERA.pixels.reshape(-1, 2)[::5].astype(np.float64)
    found = essential_pose(first, _project(rays.astype(np.float64), rho, true), CAMERA)
    assert found is not None
    pose, inliers = found
    direction = true.translation / np.linalg.norm(true.translation)
    assert pose.translation @ direction > 0.999
    assert inliers.mean() > 0.95
    assert essential_pose(first[:10], first[:10], CAMERA) is None


def test_a_rotation_is_found_beside_outliers() -> None:
    rays = CAMERA.rays.reshape(-1, 3)[::5].astype(np.float64)
    true = _turn(0.02, -0.05, 0.03)
    turned = rays @ true.T
    turned[::5] += 0.2
    assert np.abs(rotation_between(rays, turned, 1e-3) - true).max() < 1e-3


def test_triangulation_of_several_partners_and_what_contradicts_it() -> None:
    rho = _scene()
    partners = []
    for translation in ([0.2, 0, 0], [0.1, 0.1, 0.2]):
        pose = Pose(_turn(0.01, 0.02, 0), np.array(translation))
        flow = _project(CAMERA.rays, rho, pose) - CAMERA.pixels
        flow[:8, :8] += [0, 5]  # along no epipolar line of both
        partners.append(
            (Matches(flow.astype(np.float32), np.full(rho.shape, 10, np.float32)), pose)
        )
    depth = triangulate(partners, CAMERA)
    assert np.abs(depth.inverse_depth / rho - 1)[8:].max() < 1e-2
    moving = np.median(depth.certainty[:8, :8])
    assert moving < 0.05 * np.median(depth.certainty[8:])


def test_maps_are_fused_by_certainty_unless_they_differ() -> None:
    def flat(value: float, certainty: float) -> DepthMap:
        return DepthMap(np.full((2, 2), value, np.float32), np.full((2, 2), certainty, np.float32))

    mean = fuse(flat(1.0, 1.0), flat(2.0, 3.0))
    assert np.allclose(mean.inverse_depth, 1.75)
    assert np.allclose(mean.certainty, 4.0)
    contradicted = fuse(flat(1.0, 100.0), flat(2.0, 100.0))
    assert (contradicted.inverse_depth > 1.9).all()
    assert np.allclose(fuse(flat(1.0, 2.0), flat(9.0, 0.0)).inverse_depth, 1.0)
