"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

RMS_EPS = 1e-5


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x**2) + eps) * weight`` over the channels, always in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Return the normalised channels as float32, whatever the type of ``x``."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), RMS_EPS)
