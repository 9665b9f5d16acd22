"""Poses and points, from matches that are exact."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.least_squares import solve
from core.depth.motion.matching import Matches, follow
from core.depth.motion.pose import Pose, turn
from core.depth.motion.poses.adjustment import Points, adjust, robust_turn
from core.depth.motion.poses.parallax import border_cells, border_of, border_parallax
from core.depth.motion.poses.translation_search import find_translation
from core.depth.motion.refinement import refine, without_surroundings
from core.depth.motion.texture import gradient
from core.depth.motion.triangulation import triangulate
from core.geometry.fit import FrameFit

CAMERA = Camera.of_fov(48, 64, 60.0)
CPU = torch.device("cpu")
RAYS = CAMERA.rays(CPU)
FOCAL = CAMERA.focal(torch.zeros((), dtype=torch.float64))


def _pose(turned: tuple[float, ...], moved: tuple[float, ...]) -> Pose:
    rotation = torch.from_numpy(cv2.Rodrigues(np.array(turned, float))[0])
    return Pose(rotation, torch.tensor(moved, dtype=torch.float64))


def _poses(*poses: Pose) -> Pose:
    return Pose(
        torch.stack([p.rotation for p in poses]), torch.stack([p.translation for p in poses])
    )


def _project(rays: Tensor, rho: Tensor, pose: Pose, camera: Camera = CAMERA) -> Tensor:
    there = pose.rotation @ rays + rho * pose.translation[:, None]
    return camera.focal(there)[:, None] * there[:2] / there[2:]


def _scene() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0.2, 0.6, (48, 64))).float()


def _points(seen: Tensor, rays: Tensor, rho: Tensor) -> Points:
    return Points(
        rays=rays,
        inverse_depths=rho,
        known=rho,
        certainty=torch.zeros_like(rho),
        seen=seen,
        trust=torch.full((len(seen), len(rho)), 10.0).double(),
    )


def test_poses_and_inverse_depths_are_found_together_among_outliers() -> None:
    rng = np.random.default_rng(1)
    rays = RAYS.flatten(1)[:, ::4].double()
    rho = torch.from_numpy(rng.uniform(0.2, 0.6, rays.shape[1]))
    truth = [_pose((0.01, -0.02, 0), (0.1, 0, 0.05)), _pose((0, 0.03, 0.01), (0.3, 0.05, 0))]
    seen = torch.stack([_project(rays, rho, pose) for pose in truth])
    seen[..., ::7] += torch.from_numpy(rng.uniform(3, 9, seen[..., ::7].shape))
    points = replace(
        _points(seen, rays, rho * torch.from_numpy(rng.uniform(0.9, 1.1, len(rho)))),
        known=rho,
        certainty=torch.where(torch.arange(len(rho)) < 100, 1e4, 0.0).double(),
    )
    true = _poses(*truth)
    found, pose = adjust(points, Pose(true.rotation, 0.8 * true.translation), FOCAL, 15)
    assert (pose.translation - true.translation).abs().max() < 2e-3
    assert (pose.rotation - true.rotation).abs().max() < 1e-3
    inliers = torch.arange(len(rho)) % 7 != 0
    assert (found / rho - 1).abs()[inliers].median() < 0.01


def test_the_translation_is_found_from_matches_alone() -> None:
    rays, rho = RAYS.flatten(1)[:, ::5].double(), _scene().flatten()[::5].double()
    for moved in ((0.3, 0.0, 0.1), (-0.3, 0.1, -0.1), (0.02, 0.0, 0.3)):
        true = _pose((0, 0.02, 0), moved)
        seen = _project(rays, rho, true)
        seen[:, ::6] += 5
        points = _points(seen[None], rays, rho)
        turned, _ = robust_turn(points, FOCAL, 0.3, 5)
        is_seen = torch.ones(len(rho), dtype=torch.bool)
        start = Pose(turned.rotation[0], turned.translation[0])
        found = find_translation(rays, seen, is_seen, start, FOCAL)
        direction = true.translation / true.translation.norm()
        assert found.is_found
        # Directions are tried on a grid of some 15 degrees, and adjusted afterwards.
        assert found.pose.translation @ direction > 0.97
        good = found.explained & (torch.arange(len(rho)) % 6 != 0)
        ranks = torch.corrcoef(torch.stack((found.inverse_depths[good], rho[good])))
        assert ranks[0, 1] > 0.7


def test_a_rotation_is_found_beside_outliers() -> None:
    rays = RAYS.flatten(1)[:, ::5].double()
    true = _pose((0.02, -0.05, 0.03), (0, 0, 0))
    seen = _project(rays, torch.zeros(rays.shape[1]).double(), true)
    seen[:, ::5] += 9
    pose, distance = robust_turn(_points(seen[None], rays, torch.ones(rays.shape[1]).double()),
                                 FOCAL, 0.3, 5)  # fmt: skip
    assert (pose.rotation[0] - true.rotation).abs().max() < 1e-3
    assert distance.median() < 0.02


def test_the_border_tells_a_moving_camera_from_one_that_turns_and_zooms() -> None:
    camera = Camera.of_fov(144, 256, 60.0)
    rays = camera.rays(CPU)[:, 3::6, 3::6].flatten(1).double()
    first = camera.focal(rays)[:, None] * rays[:2]
    rng = np.random.default_rng(2)
    rho = torch.from_numpy(rng.uniform(0.2, 0.6, rays.shape[1]))
    cells = border_cells(camera, 6, torch.float64, CPU)
    focal = camera.focal(rays)
    every = torch.ones(rays.shape[1], dtype=torch.bool)
    turned = _pose((0.02, 0.06, 0.01), (0, 0, 0))
    zoomed = 1.03 * _project(rays, rho, turned, camera)
    border = border_of(first, zoomed, every, cells, focal)
    assert border_parallax(border, turned, focal).is_absent
    moving = _pose((0.0, 0.02, 0.0), (0.15, 0.0, 0.05))
    seen = _project(rays, rho, moving, camera)
    border = border_of(first, seen, every, cells, focal)
    assert border_parallax(border, moving, focal).is_enough
    wrong = _pose((0.0, 0.02, 0.0), (0.0, 0.3, 0.0))
    assert border_parallax(border, wrong, focal).is_contradicted
    few = first.sum(dim=0) > 100  # a corner
    assert not border_parallax(border_of(first, seen, few, cells, focal), moving, focal).is_enough


def test_triangulation_of_several_partners_and_what_contradicts_it() -> None:
    rho = _scene()
    poses = _poses(*(_pose((0.01, 0.02, 0), moved) for moved in ((0.2, 0, 0), (0.1, 0.1, 0.2))))
    flows = []
    for i in range(2):
        pose = poses.map(lambda value, i=i: value[i])
        seen = _project(RAYS.flatten(1).double(), rho.flatten().double(), pose)
        flow = seen.unflatten(1, rho.shape).float() - CAMERA.pixels(CPU)
        flow[1, :8, :8] += 5  # along no epipolar line of both
        flows.append(flow)
    plain = torch.zeros(rho.shape)
    matches = Matches(
        torch.stack(flows), torch.full((2, *rho.shape), 10.0), plain.expand(2, -1, -1)
    )
    depth = triangulate(matches, torch.stack((plain + 1e4, plain, plain + 1e4)), poses, CAMERA)
    assert (depth.inverse_depth / rho - 1).abs()[8:].max() < 1e-2
    moving = depth.certainty[:8, :8].median()
    assert moving < 0.05 * depth.certainty[8:].median()


def test_depth_is_moved_to_where_pictures_agree() -> None:
    """Whatever the exposure, in its own unit; on a plain surface nothing moves it."""
    noise = np.random.default_rng(0).uniform(80, 140, (12, 16)).astype(np.float32)
    picture = torch.from_numpy(cv2.resize(noise, (64, 48), interpolation=cv2.INTER_CUBIC))
    picture[:, :20] = 100.0
    pixels_per_depth = 2.0
    to_the_side = torch.tensor([[pixels_per_depth / CAMERA.focal_px[0], 0.0, 0.0]])
    pose = Pose(torch.eye(3)[None], to_the_side)
    flow = torch.tensor([pixels_per_depth, 0.0])[:, None, None].expand(1, 2, 48, 64)
    partner = follow(picture[None, None], -flow, CAMERA)[0, 0] + 15
    matches = Matches(flow, torch.ones(1, 48, 64), without_surroundings(partner)[None])
    wrong = torch.ones(48, 64)
    wrong[:24] += 0.25
    wrong[24:] -= 0.25
    depth = DepthMap(wrong, torch.ones(48, 64))
    change = gradient(picture)
    moved = refine(depth, matches, pose, without_surroundings(picture), change, CAMERA)
    textured = moved.inverse_depth[8:40, 30:56]
    assert (textured / textured.median() - 1).abs().median() < 0.05, "0.25 before"
    assert (wrong * (moved.inverse_depth - wrong)).mean().abs() < 0.05
    plain = moved.inverse_depth[:, 1:12] / wrong[:, 1:12]
    assert torch.allclose(plain, plain.mean().expand_as(plain), atol=1e-3)


def test_maps_are_fused_by_certainty_unless_they_differ() -> None:
    def flat(value: float, certainty: float) -> DepthMap:
        return DepthMap(torch.full((2, 2), value), torch.full((2, 2), certainty))

    mean = fuse(flat(1.0, 1.0), flat(2.0, 3.0))
    assert torch.allclose(mean.inverse_depth, torch.tensor(1.75))
    assert torch.allclose(mean.certainty, torch.tensor(4.0))
    contradicted = fuse(flat(1.0, 100.0), flat(2.0, 100.0))
    assert (contradicted.inverse_depth > 1.9).all()
    assert torch.allclose(fuse(flat(1.0, 2.0), flat(9.0, 0.0)).inverse_depth, torch.tensor(1.0))


def test_small_systems_are_solved_and_turns_are_rotations() -> None:
    rows = torch.rand(7, 6, 9, dtype=torch.float64)
    matrix, right = rows @ rows.mT, torch.rand(7, 6, dtype=torch.float64)
    assert torch.allclose(solve(matrix, right), torch.linalg.solve(matrix, right))
    found = turn(torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64))
    assert torch.allclose(found @ found.mT, torch.eye(3).double(), atol=1e-12)
    expected = torch.from_numpy(cv2.Rodrigues(np.array([0.3, -0.2, 0.1]))[0])
    assert torch.allclose(found[0], expected, atol=5e-3)


def test_the_model_s_camera_sees_where_the_frame_s_pixels_look() -> None:
    """A point at 20 degrees to the right and 10 down keeps its place, however frames fit."""
    native = Camera.of_fov(90, 120, 60.0)
    ray = torch.tensor([np.tan(0.35), np.tan(0.17)], dtype=torch.float64)
    place = native.focal(ray) * ray + torch.tensor([59.5, 44.5])
    for mode in ("stretch", "crop", "pad"):
        fit = FrameFit((90, 120), (64, 128), mode)
        camera = Camera.of_fit(fit, (32, 64), 60.0)
        expected = fit.points_to_model(place) - torch.tensor([63.5, 31.5])
        assert torch.allclose(camera.focal(ray) * ray, expected / 2, atol=0.3), mode
        shown = torch.tensor([fit.content.width, fit.content.height]) / 2
        assert torch.allclose(2 * camera.edge(ray) + 1, shown.double())
