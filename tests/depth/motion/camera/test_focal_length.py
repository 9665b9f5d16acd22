"""The angle of view of a stream that does not tell it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.depth.motion import MotionDepth
from core.depth.motion.camera.focal_length import AngleOfView, FocalEstimate
from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.offline.clip_depth import clip_depth
from core.depth.motion.picture import working_picture
from core.depth.motion.pose import Pose, turn
from core.depth.motion.poses.adjustment import Points
from core.depth.motion.poses.self_calibration import recalibrate
from tests.moving_camera import ExactFlow, View


def _walk(fov: float, turn: float = 0.03, count: int = 14) -> list[View]:
    return [View(0.12 * i, turn=-turn * i, fov=fov) for i in range(count)]


def _seen(views: list[View], fov: float | None = None) -> MotionDepth:
    flow = ExactFlow(views)
    motion = MotionDepth(fov=fov, flow=flow)
    for grey in flow.pictures:
        motion.push(working_picture(np.repeat(grey[..., None], 3, axis=2)))
    return motion


def _estimated(motion: MotionDepth) -> float:
    assert motion.state.angle.estimate is not None
    return motion.state.angle.estimate.fov


@pytest.mark.parametrize("fov", [45.0, 60.0, 80.0])
def test_a_camera_that_moves_and_turns_tells_its_angle_of_view(fov: float) -> None:
    assert _estimated(_seen(_walk(fov))) == pytest.approx(fov, rel=0.07)


@pytest.mark.parametrize("fov", [45.0, 80.0])
def test_a_camera_that_only_turns_does_not(fov: float) -> None:
    views = [View(turn=0.03 * i, fov=fov) for i in range(6)]
    assert _estimated(_seen(views)) == pytest.approx(60)


def test_an_angle_that_is_given_stays() -> None:
    motion = _seen(_walk(45.0, count=5), fov=70.0)
    assert motion.state.angle == AngleOfView(70.0)
    assert motion.state.found is not None
    assert motion.state.found.focal is None


def _points(focal_px: float, turned: float) -> tuple[Points, Pose]:
    """Return what four partners see, and their poses; rays suppose a focal length of 200."""
    rng = np.random.default_rng(0)
    uv = torch.from_numpy(rng.uniform(-1, 1, (2, 300)) * [[120], [70]])
    depths = torch.from_numpy(rng.uniform(2, 8, 300))
    across = torch.tensor([[-0.1 * i, 0.02 * i, 0] for i in range(1, 5)], dtype=torch.float64)
    angles = torch.tensor([[0, turned * i, 0] for i in range(1, 5)], dtype=torch.float64)
    pose = Pose(turn(angles), across)
    one = torch.ones_like(uv[:1])
    there = pose.rotation @ (torch.cat((uv / focal_px, one)) * depths) + across[..., None]
    seen = focal_px * there[:, :2] / there[:, 2:]
    rho = 1 / depths
    nothing = torch.zeros_like(rho)
    trust = torch.full((4, 300), 10.0, dtype=torch.float64)
    return Points(torch.cat((uv / 200, one)), rho, rho, nothing, seen, trust), pose


def test_matches_without_noise_tell_the_focal_length() -> None:
    points, pose = _points(220.0, turned=0.05)
    focal = torch.full((2,), 200.0, dtype=torch.float64)
    estimate = FocalEstimate.usual()
    for _ in range(3):
        ratio = estimate.ratio.double()
        rays = torch.cat((points.rays[:2] / ratio, points.rays[2:]))
        estimate = recalibrate(replace(points, rays=rays), pose, ratio * focal, estimate)
    assert estimate.ratio.item() == pytest.approx(1.1, abs=0.01)


def test_a_camera_that_does_not_turn_tells_little() -> None:
    focal = torch.full((2,), 200.0, dtype=torch.float64)
    before = FocalEstimate.usual()
    gains = []
    for turned in (0.0, 0.05):
        points, pose = _points(200.0, turned)
        after = recalibrate(points, pose, focal, before)
        assert after.ratio.item() == pytest.approx(1, abs=0.01)
        gains.append((after.information - before.information).item())
    assert gains[0] < 0.05 * gains[1]


def test_an_estimate_is_kept_once_it_is_sure() -> None:
    unsure = FocalEstimate.usual()
    sure = FocalEstimate(torch.tensor(math.log(1.2)), torch.tensor(1e6))
    angle = AngleOfView()
    for estimate in [unsure] * 32:
        angle = angle.after(estimate)
    assert angle.fov is None
    for estimate in [sure] * 32:
        angle = angle.after(estimate)
    assert angle.fov == pytest.approx(51.4, abs=0.1)
    assert angle.begun() is None
    assert angle.after(None) == angle
    after_cut = angle.after_cut().begun()
    assert after_cut is not None
    assert after_cut.fov == pytest.approx(51.4, abs=0.1), "the next shot starts from there"
    assert not after_cut.is_sure, "and may have another lens"


def test_an_estimate_that_may_not_be_kept_goes_on() -> None:
    angle = AngleOfView()
    for _ in range(64):
        angle = angle.after(FocalEstimate(torch.zeros(()), torch.tensor(1e6)), keeps=False)
    assert angle.fov is None
    assert angle.begun() is angle.estimate


def test_the_next_shot_starts_from_the_angle_of_the_last_one_but_a_new_stream_does_not() -> None:
    motion = _seen(_walk(45.0, count=6))
    known = _estimated(motion)
    motion.end_shot()
    assert motion.state.found is None
    assert _estimated(motion) == known
    motion.reset()
    assert motion.state.angle == AngleOfView()


def test_a_focal_length_as_a_tensor_is_one_as_a_number() -> None:
    like = torch.zeros(())
    supposed, true = (Camera.of_fov(48, 64, fov) for fov in (60.0, 45.0))
    scaled = supposed.scaled(torch.tensor(true.focal_px[0] / supposed.focal_px[0]))
    torch.testing.assert_close(scaled.focal(like), true.focal(like))
    torch.testing.assert_close(scaled.rays(like.device), true.rays(like.device))


def test_clips_are_looked_at_with_the_angle_that_they_tell() -> None:
    views = _walk(80.0, count=7)
    flow = ExactFlow(views)
    pictures = [working_picture(np.repeat(grey[..., None], 3, axis=2)) for grey in flow.pictures]
    good = []
    for fov in (None, 60.0, 80.0):
        found = clip_depth(pictures, fov=fov, flow=flow)
        assert found is not None
        ratio = found[3].inverse_depth.numpy() / views[3].inverse_depth()
        good.append(float((np.abs(np.log(ratio / np.median(ratio))) < math.log(1.1)).mean()))
    estimated, usual, true = good
    assert estimated > (usual + true) / 2 > usual + 0.05, good
