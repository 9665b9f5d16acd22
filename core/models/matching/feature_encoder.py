"""Features of one frame at a quarter, an eighth and a sixteenth of its size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import RMSNorm, TransformerBlock, sinusoidal_table
from core.models.matching.layers import NormalizedPair, convolution
from core.types import TensorDataclass


@dataclass(frozen=True)
class FrameFeatures(TensorDataclass):
    """What the matcher and the depth head know of ``b`` frames."""

    quarter: Float[Tensor, "b c4 h4 w4"]
    """At a quarter of the frame's size."""
    eighth: Float[Tensor, "b c8 h8 w8"]
    """At an eighth of it."""
    sixteenth: Float[Tensor, "b c16 h16 w16"]
    """At a sixteenth of it, where every place has seen the whole frame."""


class FeatureEncoder(nn.Module):
    """Convolutions down to a sixteenth of the frame's size, then self-attention.

    Args:
        grid: Rows and columns at a sixteenth of the frame's size.
        widths: Channels at a quarter, an eighth and a sixteenth.
        head_width: Channels of an attention head.
        layers: Blocks of self-attention.
    """

    positions: Tensor

    def __init__(
        self, grid: tuple[int, int], widths: tuple[int, int, int], head_width: int, layers: int
    ) -> None:
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.grid = grid
        self.stem = convolution(3 * 4**2, quarter)
        self.quarter = NormalizedPair(quarter)
        self.to_eighth = convolution(quarter, eighth, stride=2)
        self.eighth = nn.Sequential(NormalizedPair(eighth), NormalizedPair(eighth))
        self.to_sixteenth = convolution(eighth, sixteenth, stride=2)
        self.sixteenth = nn.Sequential(NormalizedPair(sixteenth), NormalizedPair(sixteenth))
        self.blocks = nn.ModuleList(TransformerBlock(sixteenth, head_width) for _ in range(layers))
        self.norm = RMSNorm(sixteenth)
        self.register_buffer("positions", grid_positions(grid, sixteenth), persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> FrameFeatures:
        """Encode frames, RGB in [0, 1]."""
        quarter = self.quarter(self.stem(F.pixel_unshuffle(2 * images - 1, 4)))
        eighth = self.eighth(self.to_eighth(quarter))
        sixteenth = self.sixteenth(self.to_sixteenth(eighth))
        tokens = rearrange(sixteenth, "b c h w -> b (h w) c").float() + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        rows, columns = self.grid
        tokens = rearrange(self.norm(tokens), "b (h w) c -> b c h w", h=rows, w=columns)
        return FrameFeatures(quarter, eighth, tokens)


def grid_positions(grid: tuple[int, int], width: int) -> Float[Tensor, "n width"]:
    """Return sines and cosines of the row, then of the column, of each cell, row-major."""
    rows, columns = (sinusoidal_table(length, width // 2) for length in grid)
    table = torch.cat(
        (
            rows[:, None].expand(-1, grid[1], -1),
            columns[None].expand(grid[0], -1, -1),
        ),
        dim=-1,
    )
    return table.flatten(0, 1)
