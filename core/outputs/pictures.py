"""Pictures of rendered frames for people: 8 bits, in the proportions of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from core.geometry.canonical import inverse_depth_from_depth
from core.geometry.fit import FrameFit
from core.streaming.reconstruct import RenderedFrame
from core.types import TensorDataclass

_SEEN_ALPHA = 0.05
"""Below this opacity a pixel shows no depth: the division by alpha would show noise."""


Pictures = UInt8[Tensor, "t h w 3"]


def to_8bit(image: Float[Tensor, "1 3 h w"]) -> UInt8[Tensor, "h w 3"]:
    """Round an RGB image in [0, 1] to bytes, on the host."""
    return to_bytes(image)[0].cpu()


def to_bytes(images: Float[Tensor, "t 3 h w"]) -> Pictures:
    """Round RGB images in [0, 1] to bytes."""
    images = (images.clamp(0, 1) * 255).round().byte()
    return rearrange(images, "t c h w -> t h w c").contiguous()


@dataclass(frozen=True)
class FrameImages(TensorDataclass):
    """Frames and their reconstructions, at the model's size; see :class:`RenderedFrame`."""

    target: Float[Tensor, "t 3 h w"]
    rgb: Float[Tensor, "t 3 h w"]
    depth: Float[Tensor, "t 1 h w"]
    alpha: Float[Tensor, "t 1 h w"]

    @staticmethod
    def of(frames: Sequence[RenderedFrame]) -> FrameImages:
        """Return the images of several frames."""
        parts = [FrameImages(f.target, f.rgb, f.depth, f.alpha) for f in frames]
        return FrameImages.cat(parts)


def input_pictures(images: FrameImages, fit: FrameFit) -> Pictures:
    """Return the inputs."""
    return to_bytes(fit.to_display(images.target))


def rendered_pictures(images: FrameImages, fit: FrameFit) -> Pictures:
    """Return the reconstructions."""
    return to_bytes(fit.to_display(images.rgb))


def side_by_side_pictures(images: FrameImages, fit: FrameFit) -> Pictures:
    """Return the inputs on the left and the reconstructions on the right."""
    both = [fit.to_display(images.target), fit.to_display(images.rgb)]
    return to_bytes(torch.cat(both, dim=-1))


def depth_pictures(images: FrameImages, fit: FrameFit) -> Pictures:
    """Return normalised inverse depth in colours: bright is near, black is nothing there."""
    return to_bytes(fit.to_display(depth_in_colors(images.depth, images.alpha)))


def depth_in_colors(
    depth: Float[Tensor, "t 1 h w"], alpha: Float[Tensor, "t 1 h w"]
) -> Float[Tensor, "t 3 h w"]:
    """Return rendered depths as RGB in [0, 1]: bright is near, black is nothing there.

    The range of colours is that of the canonical space and the same for all frames, so that a video
    does not flicker.
    """
    palette = _palette(depth.device)
    levels = (seen_inverse_depth(depth, alpha) * (len(palette) - 1)).round().long()
    colors = rearrange(palette[levels], "t 1 h w c -> t c h w")
    return torch.where(alpha > _SEEN_ALPHA, colors, 0.0)


def seen_inverse_depth(
    depth: Float[Tensor, "t 1 h w"], alpha: Float[Tensor, "t 1 h w"]
) -> Float[Tensor, "t 1 h w"]:
    """Return rendered depths as normalised inverse depth in [0, 1]; 0 where nothing is there."""
    seen = alpha > _SEEN_ALPHA
    inverse_depth = inverse_depth_from_depth(
        torch.where(seen, depth, 1.0) / torch.where(seen, alpha, 1.0)
    )
    return torch.where(seen, inverse_depth.clamp(0, 1), 0.0)


@cache
def _palette(device: torch.device) -> Float[Tensor, "256 3"]:
    """Return colours of growing lightness, from far (dark) to near (bright)."""
    from matplotlib import colormaps  # here, as it takes a while that programs need not wait for

    return torch.tensor(colormaps["inferno"].colors, device=device)  # pyright: ignore (a list)
