"""Convolutional layers that the small networks are built of."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_GROUP_WIDTH = 16


def convolution(in_width: int, width: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3 by 3 convolution that keeps the size of the image, up to its stride."""
    return nn.Conv2d(in_width, width, 3, stride=stride, padding=1)


class ResidualPair(nn.Module):
    """Two convolutions around a SiLU, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the updated features."""
        return x + self.second(F.silu(self.first(F.silu(x))))


class NormalizedPair(nn.Module):
    """A residual pair whose convolutions see normalised groups of channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        groups = max(width // _GROUP_WIDTH, 1)
        self.first_norm = nn.GroupNorm(groups, width)
        self.first = convolution(width, width)
        self.second_norm = nn.GroupNorm(groups, width)
        self.second = convolution(width, width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the updated features."""
        inner = self.first(F.silu(self.first_norm(x)))
        return x + self.second(F.silu(self.second_norm(inner)))
