"""The network of stage 1: one frame becomes static Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import (
    RecomputingStack,
    RMSNorm,
    SinusoidalEncoding,
    TransformerBlock,
)
from core.models.options import expect_size
from core.models.transformer.config import StreamSplatConfig
from core.models.transformer.heads import StaticHeads
from core.models.transformer.upsampler import Upsampler
from core.types import DynamicGaussians, TensorDataclass


class StaticEncoder(RecomputingStack):
    """A plain vision transformer on RGB and inverse depth, without a class token."""

    def __init__(
        self, grid: tuple[int, int], patch_size: int, width: int, head_width: int, layers: int
    ) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(
            4, width, kernel_size=patch_size, stride=patch_size, bias=False
        )
        self.positional_encoding = SinusoidalEncoding(grid[0] * grid[1], width)
        self.norm_in = RMSNorm(width)
        self.blocks = nn.ModuleList(TransformerBlock(width, head_width) for _ in range(layers))
        self.norm_out = RMSNorm(width)

    def forward(self, rgbd: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b l d"]:
        """Return one token for each patch, row-major, float32."""
        # The convolution as the matrix product that it is: patches do not overlap.
        weight, size = self.patch_embedding.weight, self.patch_embedding.stride
        patches = rearrange(rgbd, "b c (h p) (w q) -> b (h w) (c p q)", p=size[0], q=size[1])
        tokens = F.linear(patches, weight.flatten(1))  # (b, l, d)
        tokens = self.norm_in(self.positional_encoding(tokens))
        for block in self.blocks:
            tokens = self.run(block, tokens)
        return self.norm_out(tokens)


@dataclass(frozen=True)
class EncodedFrames(TensorDataclass):
    """What the static network knows of ``b`` frames before it decides on Gaussians."""

    tokens: Float[Tensor, "b l d"]
    """Encoder tokens, row-major."""
    features: Float[Tensor, "b n c"]
    """Features of the Gaussian grid, row-major."""


class StaticModel(nn.Module):
    """Encoder, upsampler and heads for single frames.

    Trained alone in stage 1, and later a part of
    :class:`~core.models.transformer.network.StreamSplat`.
    """

    def __init__(
        self,
        config: StreamSplatConfig,
        encoder: StaticEncoder,
        upsampler: Upsampler,
        heads: StaticHeads,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.upsampler = upsampler
        self.heads = heads

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> EncodedFrames:
        """Run encoder and upsampler.

        Args:
            images: RGB in [0, 1], of the configured size.
            inverse_depths: Relative inverse depth in [0, 1], normalised per frame; zeros where
                there is none.

        Raises:
            UserError: If the frames are not of the size that the network was built for.
        """
        expect_size(images, inverse_depths, self.config)
        rgbd = torch.cat((images, inverse_depths), dim=1)
        tokens = self.encoder(rgbd)
        return EncodedFrames(tokens, self.upsampler(tokens))

    def gaussians(self, encoded: EncodedFrames, *, sample: bool | None = None) -> DynamicGaussians:
        """Decode one Gaussian for each cell of the grid.

        Args:
            encoded: Frames from :meth:`encode`.
            sample: Draw positions from their distribution; by default in training mode only.
        """
        sample = self.training if sample is None else sample
        return self.heads(encoded.features, sample=sample)

    def forward(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> DynamicGaussians:
        """Turn frames into static Gaussians; see :meth:`encode` for the arguments."""
        return self.gaussians(self.encode(images, inverse_depths))
