"""From the token grid to the finer Gaussian grid."""

from __future__ import annotations

from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import RecomputingStack, RMSNorm, TransformerBlock


class UpsamplerLevel(RecomputingStack):
    """Doubles the sides of a token grid and mixes the result within windows.

    A window is a run of the row-major sequence. The second block sees the sequence rolled by half
    a window, so that neighbours on both sides of a border attend to each other.
    """

    def __init__(
        self, grid: tuple[int, int], in_width: int, width: int, head_width: int, window: int
    ) -> None:
        super().__init__()
        self.grid = grid
        self.window = window
        self.expand = nn.Linear(in_width, 4 * width)
        self.blocks = nn.ModuleList(TransformerBlock(width, head_width) for _ in range(2))

    def forward(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l4 e"]:
        """Return four tokens for each one, row-major on the doubled grid."""
        return self.mix_rolled(self.mix(self.enlarge(tokens)))

    def enlarge(self, tokens: Float[Tensor, "b l d"]) -> Float[Tensor, "b l4 e"]:
        """Make four tokens of each."""
        height, width = self.grid
        # Moved before they are raised to float32: half the bytes.
        return rearrange(
            self.expand(tokens),
            "b (h w) (e p q) -> b (h p w q) e",
            **{"h": height, "w": width, "p": 2, "q": 2},
        ).float()

    def mix(self, x: Float[Tensor, "b l4 e"]) -> Float[Tensor, "b l4 e"]:
        """Mix tokens within windows, and roll them on by half a window."""
        return self._mix_windows(0, x).roll(self.window // 2, 1)

    def mix_rolled(self, x: Float[Tensor, "b l4 e"]) -> Float[Tensor, "b l4 e"]:
        """Mix the rolled tokens within windows, and roll them back."""
        return self._mix_windows(1, x).roll(-(self.window // 2), 1)

    def _mix_windows(self, block: int, x: Float[Tensor, "b l4 e"]) -> Float[Tensor, "b l4 e"]:
        windows = rearrange(x, "b (n s) e -> (b n) s e", s=self.window)
        return rearrange(self.run(self.blocks[block], windows), "(b n) s e -> b (n s) e", b=len(x))


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
