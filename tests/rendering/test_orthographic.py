from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from diff_gaussian_rasterization_orth import rasterize

from core.geometry.canonical import depth_from_inverse_depth, pixel_centers
from core.geometry.motion import freeze_at
from core.rendering import render
from core.types import DynamicGaussians


def random_scene(b: int = 2, n: int = 200) -> DynamicGaussians:
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    return DynamicGaussians(
        means=torch.stack(
            [uniform(b, n, low=-1), uniform(b, n, low=0.1, high=0.9), uniform(b, n, low=-1)], dim=-1
        ),
        motion=uniform(b, n, 1, 3, low=-0.1, high=0.1),
        scales=uniform(b, n, 3, low=0.02, high=0.2),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(b, n, 4),
        colors=uniform(b, n, 3),
        opacities=uniform(b, n),
        opacity_slopes=uniform(b, n, high=4.0),
        opacity_half_lives=uniform(b, n),
        anchor_times=uniform(b, n).round(),
    )


TIMES = torch.tensor([[0.0, 0.4, 1.0], [0.1, 0.2, 0.3]])
SIZE = (24, 40)


def test_shapes_and_ranges() -> None:
    images = render(random_scene(), TIMES, SIZE)
    assert images.rgb.shape == (2, 3, 3, 24, 40)
    assert images.depth.shape == images.alpha.shape == (2, 3, 1, 24, 40)
    assert images.rgb.min() >= 0
    assert images.rgb.max() <= 1
    assert images.alpha.max() <= 1
    assert (images.depth <= depth_from_inverse_depth(torch.tensor(0.0)) * images.alpha + 1e-5).all()


def test_a_pixel_grid_shows_its_colours() -> None:
    """One small opaque Gaussian at each pixel's centre gives the picture back, the right way up."""
    height, width = 20, 30
    x, z = pixel_centers(height, width)
    picture = torch.stack([x, z, -x], dim=-1) / 2 + 0.5  # (h, w, 3)
    n = height * width
    constant = torch.ones(1, n)
    scene = DynamicGaussians(
        means=torch.stack([x, torch.full_like(x, 0.5), z], dim=-1).reshape(1, n, 3),
        motion=torch.zeros(1, n, 0, 3),
        scales=torch.full((1, n, 3), 1e-4),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, n, 4),
        colors=picture.reshape(1, n, 3),
        opacities=constant,
        opacity_slopes=0 * constant,
        opacity_half_lives=0.5 * constant,
        anchor_times=0 * constant,
    )
    images = render(scene, torch.zeros(1, 1), (height, width))
    # Neighbours in front add exp(-1 / 0.6) = 0.19 of a colour that is 1/30 away.
    error = (images.rgb[0, 0].permute(1, 2, 0) - picture).abs()
    assert error[1:-1, 1:-1].max() < 0.05
    assert images.alpha.min() > 0.98


def test_rendering_at_a_time_is_rendering_what_is_frozen_there() -> None:
    scene = random_scene()
    moving = render(scene, torch.full((2, 1), 0.3), SIZE)
    still = render(freeze_at(scene, 0.3), torch.full((2, 1), 0.9), SIZE)
    # A pixel on whose contribution two roundings disagree (alpha at 1/255) may differ by 1/255.
    different = (moving.rgb - still.rgb).abs() > 1e-4
    assert different.any(dim=2).sum() <= 2


@pytest.mark.parametrize(
    "background",
    [0.25, torch.full((3,), 0.25), torch.full((2, 3), 0.25), torch.full((2, 3, 3), 0.25)],
)
def test_backgrounds(background: torch.Tensor | float) -> None:
    scene = random_scene()
    black = render(scene, TIMES, SIZE, 0.0)
    grey = render(scene, TIMES, SIZE, background)
    expected = black.rgb + 0.25 * (1 - black.alpha)
    torch.testing.assert_close(grey.rgb, expected, atol=1e-6, rtol=0)


def test_half_precision_is_raised_to_float32_inside_autocast() -> None:
    scene = random_scene()
    colors = scene.colors.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = render(replace(scene, colors=colors), TIMES.bfloat16(), SIZE)
        assert images.rgb.dtype == torch.float32
        expected = render(
            replace(scene, colors=colors.detach().float()), TIMES.bfloat16().float(), SIZE
        )
    assert torch.equal(images.rgb, expected.rgb)
    images.rgb.sum().backward()
    assert colors.grad is not None
    assert colors.grad.abs().max() > 0


def test_float64_goes_to_the_reference_only() -> None:
    scene = random_scene(n=20).map(torch.Tensor.double)
    assert render(scene, TIMES, SIZE, backend="reference").rgb.dtype == torch.float64
    with pytest.raises(ValueError, match="reference"):
        render(scene, TIMES, SIZE)


def test_it_is_the_rasteriser() -> None:
    scene = random_scene()
    images = render(scene, TIMES, SIZE, backend="reference")
    direct = rasterize(
        scene.means,
        scene.motion,
        scene.scales,
        scene.quats,
        scene.colors,
        scene.opacities,
        scene.opacity_slopes,
        scene.opacity_half_lives,
        scene.anchor_times,
        TIMES,
        SIZE,
        torch.full((3,), 0.5),
        backend="reference",
    )
    assert torch.equal(images.rgb, direct.rgb)
    assert torch.equal(images.depth, direct.depth)
    assert torch.equal(images.alpha, direct.alpha)


def test_errors_name_the_argument() -> None:
    scene = random_scene()
    broken = scene.means.clone()
    broken[1, 7, 2] = torch.nan
    with pytest.raises(ValueError, match=re.escape("means[1, 7, 2] is nan")):
        render(replace(scene, means=broken), TIMES, SIZE)
    with pytest.raises(ValueError, match=re.escape("times has shape (1, 3); expected (2, t)")):
        render(scene, TIMES[:1], SIZE)
    with pytest.raises(ValueError, match="backgrounds has shape"):
        render(scene, TIMES, SIZE, torch.zeros(4))
