"""The pixels that a Gaussian stands for, past the encoder."""

from __future__ import annotations

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn

# Half a step of 8-bit colour: black and white pixels keep a finite logit and a gradient.
_COLOR_MARGIN = 1 / 512


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
