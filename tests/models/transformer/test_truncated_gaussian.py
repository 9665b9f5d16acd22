from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from core.models.transformer.truncated_gaussian import (
    EPS,
    HIGH,
    LOW,
    TanhHead,
    TruncatedGaussianHead,
    sample_truncated_normal,
)


def cdf(x: Tensor | float, mean: Tensor, log_scale: Tensor) -> Tensor:
    return torch.distributions.Normal(mean, log_scale.exp()).cdf(
        torch.as_tensor(x, dtype=torch.double)
    )


def test_the_value_has_the_quantile_that_was_drawn() -> None:
    mean = torch.linspace(-0.99, 0.99, 7, dtype=torch.double)[:, None, None]
    log_scale = torch.linspace(-4.5, 2.0, 6, dtype=torch.double)[:, None]
    uniform = torch.linspace(EPS, 1 - EPS, 9, dtype=torch.double)
    value = sample_truncated_normal(*torch.broadcast_tensors(mean, log_scale, uniform))

    low, high = cdf(LOW, mean, log_scale), cdf(HIGH, mean, log_scale)
    quantile = (cdf(value, mean, log_scale) - low) / (high - low)
    torch.testing.assert_close(quantile, uniform.expand_as(quantile), rtol=0, atol=1e-9)
    assert value.min() >= LOW
    assert value.max() <= HIGH


def test_gradients_reach_mean_and_log_scale() -> None:
    mean = torch.tensor([-0.9, 0.0, 0.5, 0.3], dtype=torch.double, requires_grad=True)
    log_scale = torch.tensor([-1.0, 0.3, -3.0, -6.0], dtype=torch.double, requires_grad=True)
    uniform = torch.tensor([0.1, 0.7, 0.9, 0.5], dtype=torch.double)
    assert torch.autograd.gradcheck(
        lambda m, s: sample_truncated_normal(m, s, uniform), (mean, log_scale)
    )


@pytest.mark.parametrize("log_scale", [-5.0, -30.0, -200.0, 7.0, 50.0, 200.0, math.inf])
def test_degenerate_normals_give_the_clamped_mean_and_its_gradient(log_scale: float) -> None:
    mean = torch.tensor([0.25, -0.99], requires_grad=True)
    scale = torch.full((2,), log_scale, requires_grad=True)
    value = sample_truncated_normal(mean, scale, torch.full((2,), 0.9))
    value.sum().backward()
    assert value.tolist() == mean.clamp(LOW, HIGH).tolist()
    assert mean.grad is not None
    assert scale.grad is not None
    assert mean.grad.tolist() == [1, 1]
    assert scale.grad.tolist() == [0, 0]


def test_no_gradient_is_nan_anywhere() -> None:
    mean, log_scale, uniform = torch.meshgrid(
        torch.tensor([-0.999, -0.99, 0.0, 0.5, 0.999]),
        torch.tensor([-100.0, -5.01, -5.0, -4.99, -2.0, 0.0, 3.0, 6.0, 6.6, 6.7, 6.8, 90.0]),
        torch.tensor([EPS, 0.5, 1 - EPS]),
        indexing="ij",
    )
    mean, log_scale = mean.clone().requires_grad_(), log_scale.clone().requires_grad_()
    value = sample_truncated_normal(mean, log_scale, uniform)
    value.sum().backward()
    assert value.isfinite().all()
    assert value.abs().max() < 1
    assert mean.grad is not None
    assert log_scale.grad is not None
    assert mean.grad.isfinite().all()
    assert log_scale.grad.isfinite().all()


def test_head_samples_around_its_mean_and_evaluates_to_it() -> None:
    torch.manual_seed(0)
    log_scale = nn.Linear(4, 3)
    nn.init.zeros_(log_scale.weight)
    nn.init.constant_(log_scale.bias, -2.0)
    head = TruncatedGaussianHead(nn.Linear(4, 3), log_scale)
    features = 0.1 * torch.randn(1, 4).expand(20_000, 4)

    mean = head(features, sample=False)
    torch.testing.assert_close(mean, 0.999 * torch.tanh(head.mean(features)))
    drawn = head(features, sample=True)
    # Untruncated for all practical purposes: |mean| stays below 0.6, deviation e^-2 = 0.135.
    assert mean.abs().max() < 0.6
    assert (drawn.mean(0) - mean[0]).abs().max() < 0.005
    # The drawn quantiles leave out 0.1 % at both ends, which takes 1.3 % off the deviation.
    assert (drawn.std(0) / math.exp(-2) - 0.987).abs().max() < 0.02


def test_settled_head_reaches_one_and_draws_nothing() -> None:
    head = TanhHead(nn.Linear(4, 3))
    features = torch.randn(5, 4)
    expected = torch.tanh(head.mean(features))
    assert torch.equal(head(features, sample=True), expected)
