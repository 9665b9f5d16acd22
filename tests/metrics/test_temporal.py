import math

import numpy as np
import pytest
import torch

from core.metrics.motion import flow_errors
from core.metrics.temporal import difference_psnr, divergence_psnr, flow_difference


def test_tof_adds_up_both_components():
    flows, truth = torch.zeros(2, 4, 5, 2), torch.zeros(2, 4, 5, 2)
    flows[0] += torch.tensor([1.0, -0.5])
    flows[1, :2, :, 1] = 2.0
    assert flow_difference(flows, truth).tolist() == pytest.approx([1.5, 1.0])


def test_a_constant_error_does_not_count_in_differences():
    torch.manual_seed(0)
    truth = torch.randint(0, 200, (3, 3, 6, 7), dtype=torch.uint8)
    assert difference_psnr(truth + 20, truth).tolist() == [100, 100]
    images = truth.clone()
    images[1] += 10
    expected = -20 * math.log10(10 / 255)
    assert difference_psnr(images, truth).tolist() == pytest.approx([expected] * 2)


def test_errors_count_more_where_motion_diverges():
    images = torch.zeros(1, 3, 6, 8, dtype=torch.uint8)
    targets = images.clone()
    targets[0, :, :, :4] = 51  # 0.2 on the left half
    still = torch.zeros(1, 6, 8, 2)
    even = -10 * math.log10(0.04 / 2)
    assert divergence_psnr(images, targets, still).item() == pytest.approx(even)
    flow = still.clone()
    flow[..., 1] = torch.arange(6.0)[:, None]  # dv/dy = 1 everywhere
    assert divergence_psnr(images, targets, flow).item() == pytest.approx(even)
    flow = still.clone()
    flow[0, :, :4, 1] = 2 * torch.arange(6.0)[:, None]  # on the left only
    weights = np.where(np.arange(8) < 4, 3.0, 1.0)
    expected = -10 * math.log10(0.04 * weights[:4].sum() / weights.sum())
    assert divergence_psnr(images, targets, flow).item() == pytest.approx(expected)


def test_flow_errors_are_of_valid_pixels():
    truth = torch.zeros(4, 5, 2)
    flow = truth.clone()
    flow[0] = torch.tensor([3.0, 4.0])
    flow[1] = torch.tensor([0.0, 0.3])
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[3] = False
    errors = flow_errors(flow, truth, valid)
    assert errors.epe == pytest.approx((5 + 0.3 + 0) / 3)
    assert errors.within == pytest.approx(2 / 3)
