"""The network of stage 2: the tokens of two frames become motion and opacity windows."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import (
    ConditionedBlock,
    RecomputingStack,
    RMSNorm,
    SinusoidalEncoding,
)
from core.models.transformer.heads import DynamicHeads, GaussianDynamics
from core.models.transformer.upsampler import Upsampler


class ConditionEncoder(nn.Module):
    """Condition tokens of one frame, to which the other frame attends."""

    def __init__(self, length: int, in_width: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(in_width, width, bias=False)
        self.positional_encoding = SinusoidalEncoding(length, width)
        self.norm = RMSNorm(width)

    def forward(self, tokens: Float[Tensor, "b m e"]) -> Float[Tensor, "b m d"]:
        """Project, add the position encoding and normalise; float32."""
        return self.norm(self.positional_encoding(self.projection(tokens)))


class DynamicDecoder(RecomputingStack):
    """Blocks over the tokens of both frames, each frame conditioned on the other."""

    def __init__(self, num_tokens: int, width: int, head_width: int, layers: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(1, 2 * num_tokens, width))
        self.frame_embedding = nn.Parameter(torch.zeros(1, 2, width))
        self.norm_in = RMSNorm(width)
        self.blocks = nn.ModuleList(ConditionedBlock(width, head_width) for _ in range(layers))
        self.norm_out = RMSNorm(width)

    def forward(
        self, tokens: Float[Tensor, "b 2 l d"], conditions: Float[Tensor, "b 2 m d"]
    ) -> Float[Tensor, "b 2 l d"]:
        """Return the tokens of the pair, each informed of the other frame.

        Args:
            tokens: Encoder tokens of the frames at times 0 and 1.
            conditions: Condition tokens of the same frames; each frame attends to the *other's*.
        """
        position = self.positional_embedding.view(1, *tokens.shape[1:])
        x = self.norm_in(tokens + position + self.frame_embedding[:, :, None])
        swapped = conditions.flip(1)
        for block in self.blocks:
            x = self.run(block, x, swapped)
        return self.norm_out(x)


class DynamicModel(nn.Module):
    """Decoder over both frames, its own upsampler, and the dynamic heads."""

    def __init__(
        self,
        condition: ConditionEncoder,
        decoder: DynamicDecoder,
        upsampler: Upsampler,
        static_projection: nn.Linear,
        heads: DynamicHeads,
    ) -> None:
        super().__init__()
        self.condition = condition
        self.decoder = decoder
        self.upsampler = upsampler
        self.static_projection = static_projection
        self.heads = heads

    def forward(
        self,
        tokens: Float[Tensor, "b 2 l d"],
        conditions: Float[Tensor, "b 2 m d"],
        features: Float[Tensor, "b 2 n c"],
        *,
        sample: bool,
    ) -> tuple[GaussianDynamics, GaussianDynamics]:
        """Return the dynamics of the Gaussians of the first and of the second frame.

        Args:
            tokens: Encoder tokens of both frames.
            conditions: Their prepared condition tokens.
            features: Their static features on the Gaussian grid.
            sample: Draw the motion from its distribution instead of taking the mean.
        """
        mixed = rearrange(self.decoder(tokens, conditions), "b v l d -> (b v) l d")
        both = self.decode_features(self.upsampler(mixed), features.flatten(0, 1), sample=sample)
        return both.select(slice(0, None, 2)), both.select(slice(1, None, 2))

    def decode_features(
        self, dynamic: Float[Tensor, "bv n c"], static: Float[Tensor, "bv n c"], *, sample: bool
    ) -> GaussianDynamics:
        """Decode dynamics from dynamic and static features; the frames of a pair are neighbours."""
        projected = self.static_projection(static).float()
        return self.heads(torch.cat((projected, dynamic), dim=-1), sample=sample)
