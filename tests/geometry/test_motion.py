from __future__ import annotations

import math

import pytest
import torch

from core.geometry.motion import displace_means, freeze_at, opacities_at
from core.types import DynamicGaussians


def random_scene(n: int = 7, k: int = 2) -> DynamicGaussians:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    return DynamicGaussians(
        means=rand(1, n, 3),
        motion=rand(1, n, k, 3),
        scales=rand(1, n, 3),
        quats=rand(1, n, 4),
        colors=rand(1, n, 3),
        opacities=rand(1, n),
        opacity_slopes=4 * rand(1, n),
        opacity_half_lives=rand(1, n),
        anchor_times=(rand(1, n) > 0.5).double(),
    )


def test_nothing_moves_at_its_anchor() -> None:
    scene = random_scene()
    still = displace_means(scene.means, scene.motion, torch.zeros(1, 7, dtype=torch.float64))
    assert torch.equal(still, scene.means)


def test_motion_is_the_polynomial() -> None:
    means = torch.zeros(1, 1, 3)
    motion = torch.tensor([[[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]]])
    moved = displace_means(means, motion, torch.tensor([[-0.5]]))
    torch.testing.assert_close(moved, torch.tensor([[[2.0, 4.0, 6.0]]]))


def test_motion_of_other_gaussians_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected motion of shape \(1, 7, 'k', 3\)"):
        displace_means(torch.zeros(1, 7, 3), torch.zeros(1, 6, 1, 3), torch.zeros(1, 7))


def test_opacity_is_as_given_at_the_anchor_and_falls_on_both_sides() -> None:
    o, a, b = torch.tensor([0.8]), torch.tensor([3.0]), torch.tensor([0.4])
    at = {t: opacities_at(o, a, b, torch.tensor([t])).item() for t in (-1.0, -0.4, 0.0, 0.4, 1.0)}
    assert at[0.0] == pytest.approx(0.8)
    assert at[0.4] == pytest.approx(0.8 * 0.5 * (1 + math.exp(-1.2)))
    assert at[0.4] == at[-0.4]
    assert at[-1.0] == at[1.0] < at[0.4] < at[0.0]


def test_a_frozen_scene_is_the_scene_at_that_time() -> None:
    scene = random_scene()
    frozen = freeze_at(scene, 0.3)
    since = 0.3 - scene.anchor_times
    torch.testing.assert_close(frozen.means, displace_means(scene.means, scene.motion, since))
    assert frozen.motion.shape == (1, 7, 0, 3)
    window = opacities_at(scene.opacities, scene.opacity_slopes, scene.opacity_half_lives, since)
    torch.testing.assert_close(frozen.opacities, window)
    again = freeze_at(frozen, 0.9)
    torch.testing.assert_close(again.opacities, frozen.opacities)
    torch.testing.assert_close(again.means, frozen.means)
