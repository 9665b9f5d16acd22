"""DINOv2 as Depth Anything V2 uses it: patch tokens after four of its blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.depth.config import DepthAnythingConfig

PATCH_SIZE = 14
# The published models were trained with this added to the number of patches a side.
_POSITION_OFFSET = 0.1


class TappedTransformer(nn.Module):
    """A vision transformer (patch 14, class token, no registers) that is read at several depths."""

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        # Here, for timm brings torchvision, which takes seconds; on the host, as they make tensors.
        with torch.device("cpu"):
            from timm.layers.mlp import SwiGLUPacked
            from timm.models.vision_transformer import VisionTransformer

        self.taps = config.taps
        self.grid = config.position_grid
        # timm counts both halves of a gated MLP as hidden width, and names its gate apart.
        gated = {"mlp_layer": SwiGLUPacked, "mlp_ratio": 16 / 3, "act_layer": nn.SiLU}
        self.vit = VisionTransformer(
            img_size=PATCH_SIZE * self.grid,
            patch_size=PATCH_SIZE,
            num_classes=0,
            embed_dim=config.embed_dim,
            depth=config.num_blocks,
            num_heads=config.num_heads,
            init_values=1e-5,
            dynamic_img_size=True,
            **(gated if config.swiglu else {}),
        )

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b d rows columns"]]:
        """Return the normalised patch tokens after each tapped block, on the grid of patches.

        Args:
            pixels: Standardised RGB with sides that are multiples of 14.
        """
        vit = self.vit
        assert vit.cls_token is not None
        patches = vit.patch_embed(pixels)  # (b, rows, columns, d)
        rows, columns = patches.shape[1:3]
        cls_position, patch_positions = self._positions(rows, columns)
        patches = patches + patch_positions
        cls_token = (vit.cls_token + cls_position).expand(len(pixels), -1, -1)
        tokens = torch.cat([cls_token, patches.flatten(1, 2)], dim=1)  # (b, 1 + rows columns, d)
        tapped = []
        for index, block in enumerate(vit.blocks):
            tokens = block(tokens)
            if index in self.taps:
                grid = rearrange(vit.norm(tokens)[:, 1:], "b (r c) d -> b d r c", r=rows)
                tapped.append(grid)
        return tapped

    def _positions(
        self, rows: int, columns: int
    ) -> tuple[Float[Tensor, "1 1 d"], Float[Tensor, "1 rows columns d"]]:
        """Return the position embeddings of the class token and of a grid of patches.

        On the grid of the training they are taken as they are; on any other they are resampled
        bicubically, without antialiasing, by ``(n + 0.1) / grid`` a side.
        """
        positions = self.vit.pos_embed
        assert positions is not None
        learned = rearrange(positions[:, 1:], "1 (r c) d -> 1 d r c", r=self.grid)
        if (rows, columns) != (self.grid, self.grid):
            scale = tuple((n + _POSITION_OFFSET) / self.grid for n in (rows, columns))
            learned = F.interpolate(learned.float(), scale_factor=scale, mode="bicubic")
        return positions[:, :1], rearrange(learned, "1 d r c -> 1 r c d")
