from __future__ import annotations

import pytest
import torch

from core.geometry.cameras import Lens
from core.geometry.canonical import depth_from_inverse_depth
from core.geometry.lift import lift
from core.types import DynamicGaussians


def scene(count: int = 200, *, rotated: bool = False) -> DynamicGaussians:
    draw = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=draw)

    means = uniform(1, count, 3)
    means[..., [0, 2]] = 2 * means[..., [0, 2]] - 1
    quats = torch.randn(1, count, 4, dtype=torch.float64, generator=draw)
    if not rotated:
        quats = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(1, count, 4)
    zeros = torch.zeros(1, count, dtype=torch.float64)
    return DynamicGaussians(
        means=means,
        motion=torch.zeros(1, count, 0, 3, dtype=torch.float64),
        scales=0.001 + 0.02 * uniform(1, count, 3),
        quats=quats / quats.norm(dim=-1, keepdim=True),
        colors=uniform(1, count, 3),
        opacities=uniform(1, count),
        opacity_slopes=zeros,
        opacity_half_lives=zeros + 0.5,
        anchor_times=zeros,
    )


@pytest.mark.parametrize(("height", "width"), [(288, 512), (854, 480)])
@pytest.mark.parametrize("fov", [30.0, 60.0, 100.0])
def test_centers_project_onto_the_very_pixel(height: int, width: int, fov: float) -> None:
    gaussians = scene()
    lens = Lens(fov, height / width)
    lifted = lift(gaussians, lens)
    focal_px = lens.focal * width / 2
    u = focal_px * lifted.means[..., 0] / lifted.means[..., 2] + (width - 1) / 2
    v = focal_px * lifted.means[..., 1] / lifted.means[..., 2] + (height - 1) / 2
    x, inverse_depth, z = gaussians.means.unbind(-1)
    torch.testing.assert_close(u, ((x + 1) * width - 1) / 2)
    torch.testing.assert_close(v, ((-z + 1) * height - 1) / 2)
    torch.testing.assert_close(lifted.means[..., 2], depth_from_inverse_depth(inverse_depth))


def test_axis_scales_follow_the_depth() -> None:
    gaussians, lens = scene(), Lens(60.0, 288 / 512)
    gaussians.means[..., [0, 2]] = 0  # elsewhere the ray is askew
    lifted = lift(gaussians, lens)
    across = lifted.means[..., 2] / lens.focal
    factors = torch.stack(
        [across, across * lens.aspect, across * (1 + lens.aspect) / 2], dim=-1
    )  # of x, z and the depth axis
    expected = factors * gaussians.scales[..., [0, 2, 1]]
    torch.testing.assert_close(lifted.covars, torch.diag_embed(expected**2))


def test_rotated_covariances_are_carried_by_the_same_map() -> None:
    gaussians, lens = scene(rotated=True), Lens(60.0, 288 / 512)
    lifted = lift(gaussians, lens)
    for i in range(5):
        w, x, y, z = gaussians.quats[0, i].tolist()
        rotation = torch.tensor(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ],
            dtype=torch.float64,
        )
        world = rotation @ torch.diag(gaussians.scales[0, i] ** 2) @ rotation.T
        depth = lifted.means[0, i, 2].item()
        across = depth / lens.focal
        to_pinhole = torch.zeros(3, 3, dtype=torch.float64)
        to_pinhole[0, 0] = across
        to_pinhole[1, 2] = -across * lens.aspect
        to_pinhole[:, 1] = lifted.means[0, i] / depth * across * (1 + lens.aspect) / 2  # the ray
        torch.testing.assert_close(lifted.covars[0, i], to_pinhole @ world @ to_pinhole.T)


def test_what_left_the_depth_range_is_marked() -> None:
    gaussians = scene(4)
    gaussians.means[0, :, 1] = torch.tensor([-0.01, 0.0, 1.0, 1.01], dtype=torch.float64)
    lifted = lift(gaussians, Lens())
    assert lifted.valid.tolist() == [[False, True, True, False]]
    assert torch.isfinite(lifted.means).all()
