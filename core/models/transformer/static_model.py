"""The network of stage 1: one frame becomes static Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
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

_COLOR_MARGIN = 1 / 512
"""Half a step of 8-bit colour: black and white pixels keep a finite logit and a gradient."""


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


class PixelSkip(nn.Module):
    """Adds to the features of the Gaussian grid a linear map of the RGB-D pixels below each."""

    def __init__(self, stride: int, width: int) -> None:
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(4 * stride**2, width)

    def forward(
        self, features: Float[Tensor, "b n c"], rgbd: Float[Tensor, "b 4 h w"]
    ) -> Float[Tensor, "b n c"]:
        """Return the features, float32, with the ``4 * stride**2`` pixel values mixed in."""
        pixels = rearrange(rgbd, "b c (h p) (w q) -> b (h w) (c p q)", p=self.stride, q=self.stride)
        return features + self.linear(pixels).float()

    def color_logits(self, rgbd: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b n 3"]:
        """Return the logit of the mean colour below each Gaussian."""
        mean = reduce(
            rgbd[:, :3].float(),
            "b c (h p) (w q) -> b (h w) c",
            "mean",
            p=self.stride,
            q=self.stride,
        )
        return torch.logit(mean, eps=_COLOR_MARGIN)


@dataclass(frozen=True)
class EncodedFrames(TensorDataclass):
    """What the static network knows of ``b`` frames before it decides on Gaussians."""

    tokens: Float[Tensor, "b l d"]
    """Encoder tokens, row-major."""
    features: Float[Tensor, "b n c"]
    """Features of the Gaussian grid, row-major."""
    color_logits: Float[Tensor, "b n 3"] | None
    """Logits of the mean colours below the Gaussians, where the network hands pixels on."""


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
        pixel_skip: PixelSkip | None,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.upsampler = upsampler
        self.heads = heads
        self.pixel_skip = pixel_skip

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
        features = self.upsampler(tokens)
        if self.pixel_skip is None:
            return EncodedFrames(tokens, features, None)
        return EncodedFrames(
            tokens, self.pixel_skip(features, rgbd), self.pixel_skip.color_logits(rgbd)
        )

    def gaussians(self, encoded: EncodedFrames, *, sample: bool | None = None) -> DynamicGaussians:
        """Decode one Gaussian for each cell of the grid.

        Args:
            encoded: Frames from :meth:`encode`.
            sample: Draw positions from their distribution; by default in training mode only.
        """
        sample = self.training if sample is None else sample
        return self.heads(encoded.features, encoded.color_logits, sample=sample)

    def forward(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> DynamicGaussians:
        """Turn frames into static Gaussians; see :meth:`encode` for the arguments."""
        return self.gaussians(self.encode(images, inverse_depths))
