"""From the token grid to the finer Gaussian grid."""

from __future__ import annotations

from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import RecomputingStack, TransformerBlock
from core.models.norm import RMSNorm

_BLOCKS_PER_LEVEL = 2


class UpsamplerLevel(RecomputingStack):
    """Doubles the sides of a token grid and mixes the result within windows.

    A window is a run of the row-major sequence. The second block sees the sequence rolled by half
    a window, so that neighbours on both sides of a border meet.
    """

    def __init__(
        self, grid: tuple[int, int], in_width: int, width: int, head_width: int, window: int
    ) -> None:
        super().__init__()
        self.grid = grid
        self.window = window
        self.expand = nn.Linear(in_width, 4 * width)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, head_width) for _ in range(_BLOCKS_PER_LEVEL)
        )

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l4 e"]:
        """Return four tokens for each one, row-major on the doubled grid."""
        height, width = self.grid
        x = rearrange(
            self.expand(tokens).float(),
            "b (h w) (e p q) -> b (h p w q) e",
            **{"h": height, "w": width, "p": 2, "q": 2},
        )
        batch = len(x)
        for index, block in enumerate(self.blocks):
            shift = (index % 2) * (self.window // 2)
            windows = rearrange(x.roll(shift, 1), "b (n s) e -> (b n) s e", s=self.window)
            mixed = self.run(block, windows)
            x = rearrange(mixed, "(b n) s e -> b (n s) e", b=batch).roll(-shift, 1)
        return x


class Upsampler(nn.Module):
    """Levels one after the other and a closing norm."""

    def __init__(
        self,
        grid: tuple[int, int],
        in_width: int,
        widths: Sequence[int],
        head_width: int,
        window: int,
    ) -> None:
        super().__init__()
        levels = []
        for width in widths:
            levels.append(UpsamplerLevel(grid, in_width, width, head_width, window))
            grid = (grid[0] * 2, grid[1] * 2)
            in_width = width
        self.levels = nn.ModuleList(levels)
        self.norm = RMSNorm(in_width)

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b n c"]:
        """Return the features of the Gaussian grid, row-major, float32."""
        features: Tensor = tokens
        for level in self.levels:
            features = level(features)
        return self.norm(features)
