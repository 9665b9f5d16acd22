"""Two frames look at each other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import ConditionedBlock, RecomputingStack
from core.models.norm import RMSNorm
from core.models.positional import SinusoidalEncoding


class ConditionEncoder(nn.Module):
    """Prepares what the other frame attends to; depends on one frame alone."""

    def __init__(self, length: int, in_width: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(in_width, width, bias=False)
        self.positional_encoding = SinusoidalEncoding(length, width)
        self.norm = RMSNorm(width)

    def forward(self, tokens: Float[Tensor, "b m e"]) -> Float[Tensor, "b m d"]:
        """Project, mark the places and normalise; float32."""
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
        """Return what each token of the pair knows of the motion between the frames.

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
