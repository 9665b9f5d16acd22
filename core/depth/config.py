"""The four published sizes of Depth Anything V2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Encoder = Literal["vits", "vitb", "vitl", "vitg"]


@dataclass(frozen=True)
class DepthAnythingConfig:
    """What distinguishes one Depth Anything V2 network from another."""

    embed_dim: int
    """Width of the vision transformer."""
    num_blocks: int
    """Number of its blocks."""
    num_heads: int
    """Attention heads a block."""
    taps: tuple[int, int, int, int]
    """Blocks, counted from 0, after which the head reads patch tokens, shallow to deep."""
    tap_channels: tuple[int, int, int, int]
    """Channels to which the head projects the tokens of each tap."""
    head_width: int
    """Channels of the head's fusion path; even."""
    swiglu: bool = False
    """Gated MLPs (hidden width 8/3 of ``embed_dim``) in place of plain ones (4 times)."""
    position_grid: int = 37
    """Side of the square grid of learned position embeddings: 518 pixels in patches of 14."""

    def __post_init__(self) -> None:
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}."
            )
        if list(self.taps) != sorted(set(self.taps)) or not 0 <= self.taps[0] <= self.taps[-1]:
            raise ValueError(f"taps {self.taps} must increase from at least 0.")
        if self.taps[-1] >= self.num_blocks:
            raise ValueError(f"taps {self.taps} reach beyond the {self.num_blocks} blocks.")


CONFIGS: dict[Encoder, DepthAnythingConfig] = {
    "vits": DepthAnythingConfig(384, 12, 6, (2, 5, 8, 11), (48, 96, 192, 384), 64),
    "vitb": DepthAnythingConfig(768, 12, 12, (2, 5, 8, 11), (96, 192, 384, 768), 128),
    "vitl": DepthAnythingConfig(1024, 24, 16, (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
    "vitg": DepthAnythingConfig(
        1536, 40, 24, (9, 19, 29, 39), (1536, 1536, 1536, 1536), 384, swiglu=True
    ),
}
