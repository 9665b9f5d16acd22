"""Stage 1: one frame becomes static Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.models.blocks import set_gradient_checkpointing
from core.models.config import StreamSplatConfig
from core.models.hub import HubModel
from core.models.pixel_skip import PixelSkip
from core.models.static_encoder import StaticEncoder
from core.models.static_heads import StaticHeads
from core.models.upsampler import Upsampler
from core.types import DynamicGaussians, TensorDataclass


@dataclass(frozen=True)
class EncodedFrames(TensorDataclass):
    """What the static network knows of ``b`` frames before it decides on Gaussians."""

    tokens: Float[Tensor, "b l d"]
    """Encoder tokens, row-major."""
    features: Float[Tensor, "b n c"]
    """Features of the Gaussian grid, row-major."""
    color_logits: Float[Tensor, "b n 3"] | None
    """Logits of the mean colours below the Gaussians, where the network hands pixels on."""


class StaticModel(HubModel):
    """Encoder, upsampler and heads for single frames.

    Trained alone in stage 1; the encoder of :class:`~core.models.streamsplat.StreamSplat` later.
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

    @classmethod
    def from_config(cls, config: StreamSplatConfig) -> StaticModel:
        """Build an untrained stage-1 model."""
        # The factory imports the classes that it wires, this one among them.
        from core.models.factory import build_static_model

        return build_static_model(config)

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
        expected = (self.config.image_height, self.config.image_width)
        if images.shape[-2:] != expected or inverse_depths.shape[-2:] != expected:
            raise UserError(
                f"the network takes frames and depth maps of {expected[1]}x{expected[0]} pixels, "
                f"but got {images.shape[-1]}x{images.shape[-2]} and "
                f"{inverse_depths.shape[-1]}x{inverse_depths.shape[-2]}; resize them first."
            )
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

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in the backward pass."""
        set_gradient_checkpointing(self, enabled)
