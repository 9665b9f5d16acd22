"""Stage 2: what happens between two frames."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.dynamic_decoder import ConditionEncoder, DynamicDecoder
from core.models.dynamic_heads import DynamicHeads, GaussianDynamics
from core.models.upsampler import Upsampler


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
        both = self.animate(self.upsampler(mixed), features.flatten(0, 1), sample=sample)
        return both.select(slice(0, None, 2)), both.select(slice(1, None, 2))

    def animate(
        self, dynamic: Float[Tensor, "bv n c"], static: Float[Tensor, "bv n c"], *, sample: bool
    ) -> GaussianDynamics:
        """Decode the dynamics from features of the pair and of its frames; frames run fastest."""
        projected = self.static_projection(static).float()
        return self.heads(torch.cat((projected, dynamic), dim=-1), sample=sample)
