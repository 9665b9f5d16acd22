"""A frame and its inverse depth become tokens."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import RecomputingStack, TransformerBlock
from core.models.norm import RMSNorm
from core.models.positional import SinusoidalEncoding


class StaticEncoder(RecomputingStack):
    """A plain vision transformer on RGB and inverse depth, without a class token."""

    def __init__(
        self, grid: tuple[int, int], patch_size: int, width: int, head_width: int, layers: int
    ) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(
            4, width, kernel_size=patch_size, stride=patch_size, bias=False
        )
        self.positional_encoding = SinusoidalEncoding(grid[0] * grid[1], width)
        self.norm_in = RMSNorm(width)
        self.blocks = nn.ModuleList(TransformerBlock(width, head_width) for _ in range(layers))
        self.norm_out = RMSNorm(width)

    def forward(self, rgbd: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b l d"]:
        """Return one token for each patch, row-major, float32."""
        # The convolution as the matrix product that it is: patches do not overlap.
        weight, size = self.patch_embedding.weight, self.patch_embedding.stride
        patches = rearrange(rgbd, "b c (h p) (w q) -> b (h w) (c p q)", p=size[0], q=size[1])
        tokens = F.linear(patches, weight.flatten(1))  # (b, l, d)
        tokens = self.norm_in(self.positional_encoding(tokens))
        for block in self.blocks:
            tokens = self.run(block, tokens)
        return self.norm_out(tokens)
