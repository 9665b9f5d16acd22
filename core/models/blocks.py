"""What all transformers here are built of: norm, position encoding, attention, blocks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_RMS_EPS = 1e-5
_POSITION_BASE = 10000.0
_MLP_RATIO = 4


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x**2) + eps) * weight`` over the channels, always in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Return the normalised channels as float32, whatever the type of ``x``."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), _RMS_EPS)


def sinusoidal_table(length: int, width: int) -> Float[Tensor, "length width"]:
    """Return sines on even channels and cosines on odd ones, wavelengths from 2 pi to 2e4 pi.

    Args:
        length: Number of positions.
        width: Number of channels, even.
    """
    # On the host in any case: on the meta device, arange would import half of the compiler.
    positions = torch.arange(length, dtype=torch.float32, device="cpu")[:, None]
    channels = torch.arange(0, width, 2, dtype=torch.float32, device="cpu")
    rates = torch.exp(channels * (-math.log(_POSITION_BASE) / width))
    angles = positions * rates  # (length, width/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class SinusoidalEncoding(nn.Module):
    """Adds sines and cosines of a token's index in the sequence; the table is a stored buffer."""

    pe: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoidal_table(length, width))

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """Return ``x`` with the encoding added, as float32."""
        return x.float() + self.pe


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
        """Let each token of ``x`` attend to the tokens of ``condition``."""
        width = x.shape[-1]
        query = F.linear(x, self.qkv.weight[:width], self.qkv.bias[:width])
        packed = F.linear(condition, self.qkv.weight[width:], self.qkv.bias[width:])
        query = rearrange(query, "b l (h c) -> b h l c", c=self.head_width)
        key, value = rearrange(packed, "b m (two h c) -> two b h m c", two=2, c=self.head_width)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(rearrange(mixed, "b h l c -> b l (h c)"))


class FeedForward(nn.Module):
    """Two Linear layers without bias around a SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, _MLP_RATIO * width, bias=False)
        self.activation: nn.Module = nn.SiLU()
        self.down = nn.Linear(_MLP_RATIO * width, width, bias=False)

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Transform each token by itself."""
        return self.down(self.activation(self.up(x)))


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward on a float32 residual stream."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(width)
        self.attention = SelfAttention(width, head_width)
        self.mlp_norm = RMSNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """Return the updated residual stream; float32 plus a bfloat16 branch stays float32."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class ConditionedBlock(nn.Module):
    """Self-attention over both frames, cross-attention frame by frame, feed-forward."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.self_norm = RMSNorm(width)
        self.self_attention = SelfAttention(width, head_width)
        self.cross_norm = RMSNorm(width)
        self.cross_attention = CrossAttention(width, head_width)
        self.mlp_norm = RMSNorm(width)
        self.mlp = FeedForward(width)

    def forward(
        self, x: Float[Tensor, "b v l d"], conditions: Float[Tensor, "b v m d"]
    ) -> Float[Tensor, "b v l d"]:
        """Update the tokens of ``v`` frames.

        Args:
            x: Tokens of each frame.
            conditions: What the frame with the same index attends to.
        """
        joint = x.flatten(1, 2)  # (b, v*l, d)
        x = (joint + self.self_attention(self.self_norm(joint))).view_as(x)
        frames = x.flatten(0, 1)  # (b*v, l, d)
        gathered = self.cross_attention(self.cross_norm(frames), conditions.flatten(0, 1))
        frames = frames + gathered
        return (frames + self.mlp(self.mlp_norm(frames))).view_as(x)


class RecomputingStack(nn.Module):
    """A module of blocks that may be recomputed in the backward pass.

    With ``gradient_checkpointing`` a block keeps only its input for the backward pass and is
    computed a second time there: less memory, about a third more time.
    """

    gradient_checkpointing: bool = False

    def run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """Call ``block``, recomputing it in the backward pass where that is switched on."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            result = checkpoint(block, *inputs, use_reentrant=False)
            assert isinstance(result, Tensor)
            return result
        return block(*inputs)


def set_gradient_checkpointing(model: nn.Module, enabled: bool) -> None:
    """Switch recomputation on or off in every stack of ``model``."""
    for module in model.modules():
        if isinstance(module, RecomputingStack):
            module.gradient_checkpointing = enabled
