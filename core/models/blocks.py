"""Transformer blocks, and the stacks that may recompute them in the backward pass."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.models.attention import CrossAttention, SelfAttention
from core.models.fast.linear_silu import LinearSilu
from core.models.norm import RMSNorm

_MLP_RATIO = 4


class FeedForward(nn.Module):
    """Two Linear layers without bias around a SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = LinearSilu(width, _MLP_RATIO * width, bias=False)
        self.down = nn.Linear(_MLP_RATIO * width, width, bias=False)

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Transform each token by itself."""
        return self.down(self.up(x))


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
    """A module that runs blocks one after the other and can forget what lies inside them.

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
