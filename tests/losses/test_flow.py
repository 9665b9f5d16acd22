from __future__ import annotations

import pytest
import torch

from core.losses import flow_loss, flow_of_gaussians, hidden_loss, pixels_from_displacements
from core.losses.flow import is_hidden
from core.types import DynamicGaussians

GRID = (2, 3)
SIZE = (4, 6)


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


def test_motion_of_gaussians_is_where_they_arrive_whatever_their_path() -> None:
    torch.manual_seed(0)
    forward, backward, bend = torch.randn(3, 2, 6, 2)
    # c1 + c2 at one interval after the anchor, -c1 + c2 at one interval before it.
    motion = torch.zeros(2, 12, 2, 3)
    motion[:, :, 0, ::2] = torch.cat((forward - bend, bend - backward), dim=1)
    motion[:, :, 1, ::2] = torch.cat((bend, bend), dim=1)
    motion[..., 1] = 5.0  # depth is another matter
    flow = flow_of_gaussians(pair(motion), GRID, SIZE)
    canonical = torch.stack((forward, backward), dim=1).mT.unflatten(-1, GRID)
    torch.testing.assert_close(flow, pixels_from_displacements(canonical, SIZE))
    assert pixels_from_displacements(torch.ones(1, 2, 2, 2, 3), SIZE)[0, 0, :, 0, 0].tolist() == [
        3.0,
        -2.0,
    ], "half a width to the right, half a height upwards"


def test_the_loss_is_the_mean_error_in_pixels_where_motion_is_known() -> None:
    target = torch.zeros(2, 2, 2, *GRID)
    known = torch.zeros(2, 2, *GRID, dtype=torch.bool)
    known[1, 0] = True
    flow = torch.zeros(2, 2, 2, *GRID)
    flow[1, 0, 0], flow[1, 0, 1] = 3, 4
    flow[0] = 1000
    assert flow_loss([flow], target, known).item() == pytest.approx(5, abs=2e-3)
    later = flow_loss([flow, torch.zeros_like(flow)], target, known).item()
    assert later == pytest.approx(5 * 0.8 / 1.8, abs=2e-3), "the last flow weighs most"
    assert flow_loss([flow], target, torch.zeros_like(known)).item() == 0


def test_coarse_flows_are_compared_on_the_grid_of_the_target() -> None:
    target = torch.full((1, 2, 2, 4, 8), 2.0)
    coarse = torch.full((1, 2, 2, 1, 2), 2.0)
    assert flow_loss([coarse], target, torch.ones(1, 2, 4, 8, dtype=torch.bool)).item() == 0


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    flow = torch.randn(1, 2, 2, *GRID, dtype=torch.float64, requires_grad=True)
    target = torch.randn(1, 2, 2, *GRID, dtype=torch.float64)
    known = torch.rand(1, 2, *GRID) > 0.3
    assert torch.autograd.gradcheck(lambda value: flow_loss([value], target, known), flow)


def test_what_is_covered_or_leaves_the_frame_is_hidden() -> None:
    flow = torch.zeros(1, 2, 2, 4, 8)
    known = torch.ones(1, 2, 4, 8, dtype=torch.bool)
    # A bar of two columns moves three cells (six pixels) to the right, over a still background.
    flow[0, 0, 0, :, 1:3] = 6
    flow[0, 1, 0, :, 4:6] = -6
    first, second = is_hidden(flow, known)[0]
    assert first.any(dim=0).nonzero().flatten().tolist() == [4, 5], "covered in the second frame"
    assert second.any(dim=0).nonzero().flatten().tolist() == [1, 2], "covered in the first frame"
    flow[0, 0, 0] = 100
    assert is_hidden(flow, known)[0, 0].all(), "outside"
    unknown = known.clone()
    unknown[0, 1] = False
    flow[0, 0, 0] = 0
    assert not is_hidden(flow, unknown)[0, 0].any()


def test_the_loss_of_what_is_hidden_falls_with_right_logits() -> None:
    flow = torch.zeros(1, 2, 2, 4, 8)
    flow[0, 0, 0, :, 1:3], flow[0, 1, 0, :, 4:6] = 6, -6
    known = torch.ones(1, 2, 4, 8, dtype=torch.bool)
    right = torch.where(is_hidden(flow, known), 10.0, -10.0)
    assert hidden_loss(right, flow, known).item() < 1e-3
    assert hidden_loss(-right, flow, known).item() == pytest.approx(10, abs=1e-3)
    assert hidden_loss(-right, flow, ~known).item() == 0
