from __future__ import annotations

import pytest
import torch

from core.geometry.cameras import Lens, look_at
from core.geometry.lift import LiftedGaussians, covariances, lift
from core.rendering import render
from core.rendering.perspective import project, render_perspective
from core.types import DynamicGaussians

SIZE = (36, 64)
LENS = Lens(60.0, SIZE[0] / SIZE[1])


def scene(count: int = 400, *, rotated: bool = False, scale: float = 0.03) -> DynamicGaussians:
    draw = torch.Generator().manual_seed(1)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(1, count, *shape, generator=draw)

    means = uniform(3)
    means[..., [0, 2]] = 2 * means[..., [0, 2]] - 1
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(1, count, 1)
    if rotated:
        quats = torch.nn.functional.normalize(torch.randn(1, count, 4, generator=draw), dim=-1)
    zeros = torch.zeros(1, count)
    scales = scale * (0.3 + uniform(2))
    return DynamicGaussians(
        means=means,
        motion=torch.zeros(1, count, 0, 3),
        scales=torch.stack([scales[..., 0], scales.mean(-1), scales[..., 1]], dim=-1),
        quats=quats,
        colors=uniform(3),
        opacities=0.2 + 0.7 * uniform(),
        opacity_slopes=zeros,
        opacity_half_lives=zeros + 0.5,
        anchor_times=zeros,
    )


@pytest.mark.parametrize("rotated", [False, True])
def test_the_input_view_is_the_orthographic_picture(rotated: bool) -> None:
    gaussians = scene(rotated=rotated, scale=0.01)
    flat = render(gaussians, torch.zeros(1, 1), SIZE)
    seen = render_perspective(lift(gaussians, LENS), torch.eye(4)[None], LENS, SIZE)
    # The depth axis, along Z and not along the ray, widens footprints off the optical axis (by up
    # to a tenth at the edge; more where rotations tie it to x or z), hence not equality.
    # Measured: rgb 4e-4 on average and 0.014 at most, alpha 0.002 and depth 1% on average.
    assert (seen.rgb - flat.rgb).abs().mean() < 1e-3
    assert (seen.rgb - flat.rgb).abs().max() < 0.03
    assert (seen.alpha - flat.alpha).abs().mean() < 4e-3
    assert (seen.depth - flat.depth).abs().mean() < 0.02 * flat.depth.mean()


def test_on_the_optical_axis_the_footprint_is_exact() -> None:
    gaussians = scene(30, rotated=True)
    gaussians.means[..., [0, 2]] = 0
    centers, covars = project(lift(gaussians, LENS), torch.eye(4)[None], LENS)
    expected = covariances(gaussians.scales, gaussians.quats)[..., [0, 2], :][..., [0, 2]]
    torch.testing.assert_close(covars, expected, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(centers[..., :2], torch.zeros(1, 30, 2))


def test_covariances_are_the_linearised_projection_of_samples() -> None:
    """A small Gaussian's projected samples have the covariance that the formula gives."""
    draw = torch.Generator().manual_seed(0)
    mean = torch.tensor([0.3, -0.2, 1.5], dtype=torch.float64)
    root = 0.004 * torch.randn(3, 3, dtype=torch.float64, generator=draw)
    pose = look_at(torch.tensor([0.2, 0.1, -0.3]), torch.tensor([0.1, 0.0, 2.0])).double()
    ones = torch.ones(1, 1, dtype=torch.float64)
    one = LiftedGaussians(
        mean[None, None], (root @ root.T)[None, None], ones[..., None].expand(1, 1, 3), ones,
        ones > 0,
    )  # fmt: skip
    center, covar = project(one, pose[None], LENS)
    samples = mean + torch.randn(200_000, 3, dtype=torch.float64, generator=draw) @ root.T
    seen = samples @ pose[:3, :3].T + pose[:3, 3]
    x = LENS.focal * seen[:, 0] / seen[:, 2]
    z = -LENS.focal * seen[:, 1] / (LENS.aspect * seen[:, 2])
    measured = torch.cov(torch.stack([x, z]))
    torch.testing.assert_close(covar[0, 0], measured, rtol=0.02, atol=0.02 * measured.max().item())
    torch.testing.assert_close(
        center[0, 0, :2], torch.stack([x.mean(), z.mean()]), atol=1e-3, rtol=0
    )


def spot(x: float, depth_sign: float, color: list[float]) -> DynamicGaussians:
    """One opaque disc; ``depth_sign`` 1 is near, 0 is far."""
    gaussians = scene(1)
    gaussians.means[0, 0] = torch.tensor([x, depth_sign, 0.0])
    gaussians.scales.fill_(0.1)
    gaussians.colors[0, 0] = torch.tensor(color)
    gaussians.opacities.fill_(0.99)
    return gaussians


def test_a_turned_elongated_gaussian_leans_the_right_way() -> None:
    """Seen from the front, one that rises to the right must do so in the picture."""
    gaussians = spot(0.0, 0.5, [1.0, 1.0, 1.0])
    gaussians.scales[0, 0] = torch.tensor([0.5, 0.02, 0.02])
    half = torch.tensor(-torch.pi / 12)  # -30 degrees about the depth axis lifts +x towards +z
    gaussians.quats[0, 0] = torch.stack([half.cos(), 0 * half, half.sin(), 0 * half])
    flat = render(gaussians, torch.zeros(1, 1), SIZE, 0.0)
    seen = render_perspective(lift(gaussians, LENS), torch.eye(4)[None], LENS, SIZE, 0.0)
    torch.testing.assert_close(seen.rgb, flat.rgb, atol=0.015, rtol=0)  # exp(-4.5) at the edge
    picture = seen.rgb[0, 0].mean(0)
    upper_right, upper_left = (
        picture[: SIZE[0] // 2, SIZE[1] // 2 :],
        picture[: SIZE[0] // 2, : SIZE[1] // 2],
    )
    assert upper_right.sum() > 3 * upper_left.sum()


def column_of(picture: torch.Tensor) -> float:
    """Return the mean column of what is bright."""
    return (picture.sum(0) * torch.arange(picture.shape[1])).sum().item() / picture.sum().item()


def test_near_things_shift_more_and_the_focus_stays() -> None:
    near, middle, far = (spot(0.0, d, [1.0, 1.0, 1.0]) for d in (0.8, 0.4, 0.1))
    focus = lift(middle, LENS).means[0, 0, 2].item()
    pose = look_at(torch.tensor([0.02, 0.0, 0.0]), torch.tensor([0.0, 0.0, focus]))[None]
    columns = [
        column_of(render_perspective(lift(g, LENS), pose, LENS, SIZE, 0.0).rgb[0, 0, 0])
        for g in (near, middle, far)
    ]
    center = (SIZE[1] - 1) / 2
    assert columns[1] == pytest.approx(center, abs=0.05)
    assert columns[0] < center - 1, "from the right, what is nearer lies further left"
    assert columns[2] > center + 0.2


def test_nearer_gaussians_hide_farther_ones_from_behind_too() -> None:
    red, blue = spot(0.0, 0.8, [1.0, 0.0, 0.0]), spot(0.0, 0.3, [0.0, 0.0, 1.0])
    both = lift(DynamicGaussians.cat([red, blue], dim=1), LENS)
    front = render_perspective(both, torch.eye(4)[None], LENS, SIZE).rgb[0, 0, :, 18, 32]
    assert front[0] > 0.9 > 0.1 > front[2]
    pose = look_at(torch.tensor([0.0, 0.0, 1.0]), torch.zeros(3))[None]
    back = render_perspective(both, pose, LENS, SIZE).rgb[0, 0, :, 18, 32]
    assert back[2] > 0.8 > 0.2 > back[0]


def test_what_is_behind_the_camera_or_invalid_is_not_seen() -> None:
    gaussians = spot(0.0, 0.5, [1.0, 1.0, 1.0])
    away = look_at(torch.zeros(3), torch.tensor([0.0, 0.0, -1.0]))[None]
    assert render_perspective(lift(gaussians, LENS), away, LENS, SIZE).alpha.max() == 0
    gaussians.means[0, 0, 1] = 1.1
    ahead = torch.eye(4)[None]
    assert render_perspective(lift(gaussians, LENS), ahead, LENS, SIZE).alpha.max() == 0


def test_depth_is_in_scene_units_for_every_pose() -> None:
    gaussians = spot(0.0, 0.5, [1.0, 1.0, 1.0])
    lifted = lift(gaussians, LENS)
    pose = torch.eye(4)
    pose[2, 3] = 7.0  # the camera steps back, far beyond the range of canonical depths
    picture = render_perspective(lifted, pose[None], LENS, SIZE)
    depth = (picture.depth / picture.alpha)[0, 0, 0, 18, 32]
    torch.testing.assert_close(depth, lifted.means[0, 0, 2] + 7, rtol=1e-3, atol=0)


def test_each_scene_has_its_own_camera() -> None:
    lifted = lift(scene(50), LENS)
    two = LiftedGaussians(*(torch.cat([v, v]) for v in vars(lifted).values()))
    aside = look_at(torch.tensor([0.05, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.5]))
    poses = torch.stack([torch.eye(4), aside])
    together = render_perspective(two, poses, LENS, SIZE).rgb
    for i in range(2):
        alone = render_perspective(lifted, poses[i : i + 1], LENS, SIZE).rgb[0]
        torch.testing.assert_close(together[i], alone)
