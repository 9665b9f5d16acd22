"""Sinusoidal encoding of a token's place in the row-major sequence."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

_BASE = 10000.0


def sinusoidal_table(length: int, width: int) -> Float[Tensor, "length width"]:
    """Return sines on even channels and cosines on odd ones, wavelengths from 2 pi to 2e4 pi.

    Args:
        length: Number of positions.
        width: Number of channels, even.
    """
    positions = torch.arange(length, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(_BASE) / width))
    angles = positions * rates  # (length, width/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class SinusoidalEncoding(nn.Module):
    """Adds a fixed table; the table is a buffer of the checkpoint."""

    pe: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoidal_table(length, width))

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """Return ``x`` with the encoding added, as float32."""
        return x.float() + self.pe
