"""Multi-head attention with packed projections."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Attention of a sequence to itself; heads are runs of ``head_width`` channels."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """Mix the tokens of each sequence."""
        query, key, value = rearrange(
            self.qkv(x), "b l (three h c) -> three b h l c", three=3, c=self.head_width
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(rearrange(mixed, "b h l c -> b l (h c)"))


class CrossAttention(nn.Module):
    """Attention of a sequence to a condition of the same width.

    The projections are packed like those of :class:`SelfAttention`: the first third of the rows
    makes queries of the sequence, the rest keys and values of the condition.
    """

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "b l d"], condition: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b l d"]:
        """Gather from ``condition`` what each token of ``x`` asks for."""
        width = x.shape[-1]
        query = F.linear(x, self.qkv.weight[:width], self.qkv.bias[:width])
        packed = F.linear(condition, self.qkv.weight[width:], self.qkv.bias[width:])
        query = rearrange(query, "b l (h c) -> b h l c", c=self.head_width)
        key, value = rearrange(packed, "b m (two h c) -> two b h m c", two=2, c=self.head_width)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(rearrange(mixed, "b h l c -> b l (h c)"))
