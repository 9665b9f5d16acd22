from __future__ import annotations

import pytest
import torch

from core.losses import motion_loss
from core.types import DynamicGaussians

GRID = (2, 3)


def pair(motion: torch.Tensor) -> DynamicGaussians:
    """Gaussians of two key frames on GRID, of which only the motion matters."""
    b, n = motion.shape[:2]
    ones = torch.ones(b, n)
    return DynamicGaussians(
        means=torch.rand(b, n, 3),
        motion=motion,
        scales=torch.ones(b, n, 3),
        quats=torch.ones(b, n, 4),
        colors=torch.ones(b, n, 3),
        opacities=ones,
        opacity_slopes=ones,
        opacity_half_lives=ones,
        anchor_times=torch.cat((torch.zeros(b, n // 2), torch.ones(b, n // 2)), dim=1),
    )


def test_motion_that_arrives_costs_nothing_whatever_its_path() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 2, 2, 4, 6)
    target = maps[..., ::2, ::2].repeat_interleave(2, -2).repeat_interleave(2, -1)
    cells = target[..., ::2, ::2].flatten(-2).mT  # (b, pair, n, xz)
    forward, backward = cells.unbind(1)
    bend = torch.randn(2, 6, 2)
    # c1 + c2 at one interval after the anchor, -c1 + c2 at one interval before it.
    linear = torch.cat((forward - bend, bend - backward), dim=1)
    motion = torch.zeros(2, 12, 2, 3)
    motion[:, :, 0, ::2] = linear
    motion[:, :, 1, ::2] = torch.cat((bend, bend), dim=1)
    motion[..., 1] = 5.0  # depth is another matter
    everywhere = torch.ones(2, 2, 4, 6, dtype=torch.bool)
    assert motion_loss(pair(motion), GRID, target, everywhere).item() == pytest.approx(0, abs=1e-6)
    motion[:, :6, 0, 0] += 0.5
    loss = motion_loss(pair(motion), GRID, target, everywhere)
    assert loss.item() == pytest.approx(0.5 / 4), "half of the Gaussians, one of two axes"


def test_places_without_known_motion_take_no_part() -> None:
    motion = torch.rand(2, 12, 1, 3, requires_grad=True)
    target = torch.zeros(2, 2, 2, 4, 6)
    known = torch.zeros(2, 2, 4, 6, dtype=torch.bool)
    known[1, 0] = True
    known[1, 0, :2, :2] = False  # the first Gaussian
    loss = motion_loss(pair(motion), GRID, target, known)
    loss.backward()
    assert motion.grad is not None
    assert motion.grad[0].abs().max() == 0
    assert motion.grad[1, 0].abs().max() == 0
    torch.testing.assert_close(loss, motion[1, 1:6, :, ::2].abs().mean())
    assert motion_loss(pair(motion), GRID, target, torch.zeros_like(known)).item() == 0


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    motion = torch.randn(2, 12, 2, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 2, 2, 4, 6, dtype=torch.float64)
    known = torch.rand(2, 2, 4, 6) > 0.5

    def loss(values: torch.Tensor) -> torch.Tensor:
        gaussians = pair(values).map(lambda value: value.double())
        return motion_loss(gaussians, GRID, target, known)

    assert torch.autograd.gradcheck(loss, motion)
