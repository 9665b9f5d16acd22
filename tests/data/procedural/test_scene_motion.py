"""Motion of procedural scenes is that of a pinhole camera, and tracks follow it exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core.data.procedural import ProceduralOptions, ProceduralScenes, ProceduralSource
from core.data.procedural.imaging.motion import FOCAL, BodyMotion, CameraMotion, homographies

CLEAN = ProceduralOptions(
    height=144, width=256, sensor_noise=0.0, sensor_blur=0.0, shadow_opacity=0.0
)


def clean_scenes(count: int, *, seed: int = 0) -> ProceduralScenes:
    """Scenes whose colours stick to surfaces: without noise, shadows and vignettes."""
    scenes = ProceduralSource(CLEAN, seed=seed).sample_scenes(range(count))
    plain = replace(scenes.sensor, vignette=torch.zeros_like(scenes.sensor.vignette))
    return replace(scenes, sensor=plain)


def axis_rotation(angle: float, first: int, second: int) -> torch.Tensor:
    """Rotate the second axis towards the first."""
    c, s = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    matrix = torch.eye(3)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = s, -s
    return matrix


def test_homographies_are_those_of_moving_points() -> None:
    tau = 0.3
    turn, travel, shift = [0.1, -0.05, 0.2], [0.3, -0.2, 0.25], [0.4, 0.1, -0.3]
    spin, stretch, zoom = 0.5, [0.2, -0.1], 0.1
    camera = CameraMotion(
        turn=torch.tensor([[turn, [0.0] * 3]]),
        travel=torch.tensor([[[0.0] * 3, travel]]),
        zoom=torch.tensor([[zoom, 0.0]]),
        shake=torch.zeros(1, 2, 3),
    )
    body = BodyMotion(
        centers=torch.tensor([[[0.2, 0.1]]]),
        shift=torch.tensor([[[shift, [0.0] * 3]]]),
        spin=torch.tensor([[[spin, 0.0]]]),
        stretch=torch.tensor([[stretch]]),
    )
    plane = torch.tensor([0.05, -0.1, 0.5])
    maps = homographies(camera, body, plane[None, None], torch.tensor([[0.5 + tau]]))[0, 0, 0]

    def lift(x: float, y: float) -> torch.Tensor:
        depth = 1.0 / (plane @ torch.tensor([x, y, 1.0]))
        return depth * torch.tensor([x / FOCAL, y / FOCAL, 1.0])

    rotation = axis_rotation(turn[2] * tau, 1, 0)
    rotation = rotation @ axis_rotation(turn[1] * tau, 2, 1) @ axis_rotation(turn[0] * tau, 0, 2)
    scale = torch.tensor([stretch[0] * tau, stretch[1] * tau, 0.0]).exp()
    for x, y in [(0.2, 0.1), (-0.5, 0.3), (0.9, -0.4)]:
        point, pivot = lift(x, y), lift(0.2, 0.1)
        moved = axis_rotation(spin * tau, 1, 0) @ (scale * (point - pivot)) + pivot
        moved = moved + torch.tensor(shift) * tau
        seen = rotation @ moved + torch.tensor(travel) * tau**2
        focal = FOCAL * torch.tensor(zoom * tau).exp()
        mapped = maps @ torch.tensor([x, y, 1.0])
        torch.testing.assert_close(mapped[:2] / mapped[2], focal * seen[:2] / seen[2])
        torch.testing.assert_close(mapped[2], seen[2] / point[2])
        # The plane's inverse depth in the new view, as the renderer computes it.
        there = torch.stack([*(mapped[:2] / mapped[2]), torch.tensor(1.0)])
        torch.testing.assert_close(plane @ torch.linalg.inv(maps) @ there, 1.0 / seen[2])


@pytest.mark.slow
def test_warping_by_the_flow_reproduces_the_frame() -> None:
    scenes = clean_scenes(8)
    start, end = torch.zeros(8), torch.ones(8)
    views = scenes.render(torch.stack([start, end], dim=1))
    flow, visible = scenes.flow(start, end)
    height, width = scenes.image_size
    pixels = torch.stack(
        torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), dim=-1
    )
    grid = (2.0 * (pixels + flow) + 1.0) / torch.tensor([width, height]) - 1.0
    warped = F.grid_sample(views.frames[:, 1], grid, align_corners=False)
    error = (warped - views.frames[:, 0]).abs().mean(dim=1)
    still_error = (views.frames[:, 1] - views.frames[:, 0]).abs().mean(dim=1)
    assert 0.7 < visible.float().mean() < 0.995
    # What remains is resampling of fine texture, and edges that a pixel shares.
    assert error[visible].median() < 0.006
    assert error[visible].mean() < 0.02
    assert error[visible].mean() < 0.3 * still_error[visible].mean()
    assert error[~visible].mean() > 3.0 * error[visible].mean()


@pytest.mark.slow
def test_tracks_agree_with_flow_and_return() -> None:
    scenes = clean_scenes(6, seed=4)
    points = 5.0 + 130.0 * torch.rand(6, 80, 2, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([[0.2, 0.2 + 1e-6, 0.9]]).expand(6, -1)
    there = scenes.track(points, torch.full((6,), 0.2), times)
    torch.testing.assert_close(there.points[:, 0], points, atol=1e-3, rtol=0)
    # Where the coverage is one half to the last bit, a point may change its layer.
    assert there.visible[:, 0].float().mean() > 0.99
    back = scenes.track(there.points[:, 2], torch.full((6,), 0.9), torch.full((6, 1), 0.2))
    kept = there.visible[:, 2]
    assert kept.any()
    assert not kept.all()
    returned = (back.points[:, 0][kept] - points[kept]).abs() < 1e-2
    assert returned.float().mean() > 0.99

    flow, visible = scenes.flow(torch.full((6,), 0.2), torch.full((6,), 0.9))
    whole = points.round()
    exact = scenes.track(whole, torch.full((6,), 0.2), torch.full((6, 1), 0.9))
    u, v = whole.long().unbind(-1)
    rows = torch.arange(6)[:, None]
    agrees = (exact.points[:, 0] - whole - flow[rows, v, u]).abs() < 1e-2
    assert agrees.float().mean() > 0.99
    assert (exact.visible[:, 0] == visible[rows, v, u]).float().mean() > 0.95


@pytest.mark.slow
def test_points_that_leave_the_image_are_not_visible() -> None:
    scenes = clean_scenes(6, seed=7)
    flow, visible = scenes.flow(torch.zeros(6), torch.ones(6))
    height, width = scenes.image_size
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    arrived = torch.stack([u, v], dim=-1) + flow
    limits = torch.tensor([width, height]) - 0.5
    inside = ((arrived > -0.5) & (arrived < limits)).all(dim=-1)
    assert (~inside).any()
    assert (visible & ~inside).float().mean() < 1e-4  # on the border to the last bit


@pytest.mark.slow
def test_displacements_are_those_of_video() -> None:
    scenes = ProceduralSource(CLEAN, seed=2).sample_scenes(range(12))
    flow, _ = scenes.flow(torch.zeros(12), torch.ones(12))
    share = flow.norm(dim=-1).flatten(1) / CLEAN.width
    medians = share.median(dim=1).values
    assert medians.min() < 0.005
    assert 0.005 < medians.median() < 0.06
    # Pan, travel and an object's own path add up; half of that is the usual worst case.
    assert share.quantile(0.99, dim=1).max() < 0.25


def test_motion_between_key_frames_is_the_flow_in_canonical_units() -> None:
    scenes = clean_scenes(2)
    first, last = torch.tensor([0.1, 0.2]), torch.tensor([0.8, 0.9])
    motion = scenes.motion_between(first, last)
    height, width = scenes.image_size
    for direction, (start, end) in enumerate(((first, last), (last, first))):
        flow = scenes.flow(start, end)[0] * torch.tensor([2 / width, -2 / height])
        blocks = flow.unfold(1, 2, 2).unfold(2, 2, 2).flatten(-2)  # (b, h/2, w/2, 2, 4)
        expected = blocks.mean(-1).permute(0, 3, 1, 2)
        spread = (blocks.amax(-1) - blocks.amin(-1)).amax(-1)
        inside = (spread < 1e-2)[:, None].expand_as(expected)  # away from the layers' borders
        assert inside.float().mean() > 0.7
        # What is thinner than a pixel may show at a block's centre and at none of its pixels.
        agrees = (motion[:, direction] - expected).abs()[inside] < 1e-2
        assert agrees.float().mean() > 0.999
