"""Heads whose value in (-1, 1) is sampled from a truncated normal while training."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

EPS = 1e-3
LOW, HIGH = -1.0 + EPS, 1.0 - EPS
MIN_LOG_SCALE = -5.0


def sample_truncated_normal(
    mean: Float[Tensor, "*shape"],
    log_scale: Float[Tensor, "*shape"],
    uniform: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """Map uniform numbers to a normal truncated to [-0.999, 0.999], by its inverse CDF.

    Gradients reach ``mean`` and ``log_scale`` through the map. Where the normal is too narrow
    (``log_scale <= -5``) or has at most 0.001 of its mass inside, the value is the clamped mean.

    Args:
        mean: Mean before truncation.
        log_scale: Natural logarithm of the standard deviation before truncation.
        uniform: Numbers in [0.001, 0.999].
    """
    with torch.no_grad():
        low, high = _truncation_cdf(mean, log_scale)
        degenerate = (log_scale <= MIN_LOG_SCALE) | ~(high - low > EPS)
    # The branch that is not taken must stay finite too: 0 * inf would make the gradient NaN.
    safe_mean = torch.where(degenerate, 0.0, mean)
    safe_log_scale = torch.where(degenerate, 0.0, log_scale)
    low, high = _truncation_cdf(safe_mean, safe_log_scale)
    quantile = low + uniform * (high - low)
    sampled = safe_mean + safe_log_scale.exp() * math.sqrt(2) * torch.erfinv(2 * quantile - 1)
    return torch.where(degenerate, mean.clamp(LOW, HIGH), sampled)


def _truncation_cdf(mean: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    scale = math.sqrt(2) * log_scale.exp()
    low = 0.5 * (1 + torch.erf((LOW - mean) / scale))
    high = 0.5 * (1 + torch.erf((HIGH - mean) / scale))
    return low, high


class TruncatedGaussianHead(nn.Module):
    """A mean and a log-scale a channel; samples, or returns the mean."""

    def __init__(self, mean: nn.Module, log_scale: nn.Module) -> None:
        super().__init__()
        self.mean = mean
        self.log_scale = log_scale

    def forward(
        self, features: Float[Tensor, "*batch c"], *, sample: bool
    ) -> Float[Tensor, "*batch o"]:
        """Return values in (-1, 1): random ones with ``sample``, the mean otherwise."""
        return self.decide(*(layer(features) for layer in self.layers(sample=sample)))

    def layers(self, *, sample: bool) -> list[nn.Module]:
        """Return the layers whose outputs :meth:`decide` takes."""
        return [self.mean, self.log_scale] if sample else [self.mean]

    def decide(
        self, mean: Float[Tensor, "*batch o"], log_scale: Float[Tensor, "*batch o"] | None = None
    ) -> Float[Tensor, "*batch o"]:
        """Return values in (-1, 1): random ones where there is a scale, the mean otherwise."""
        mean = (1 - EPS) * torch.tanh(mean)
        if log_scale is None:
            return mean
        uniform = torch.empty_like(mean).uniform_(EPS, 1 - EPS)
        return sample_truncated_normal(mean, log_scale, uniform)


class TanhHead(nn.Module):
    """The head of a network with deterministic positions: ``tanh`` of the mean."""

    def __init__(self, mean: nn.Module) -> None:
        super().__init__()
        self.mean = mean

    def forward(
        self, features: Float[Tensor, "*batch c"], *, sample: bool = False
    ) -> Float[Tensor, "*batch o"]:
        """Return values in (-1, 1); ``sample`` has no effect."""
        return self.decide(self.mean(features))

    def layers(self, *, sample: bool) -> list[nn.Module]:
        """Return the layer whose output :meth:`decide` takes."""
        return [self.mean]

    def decide(self, mean: Float[Tensor, "*batch o"]) -> Float[Tensor, "*batch o"]:
        """Return values in (-1, 1)."""
        return torch.tanh(mean)
