"""Pictures of rendered frames for people: 8 bits, in the proportions of the input."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from torch import Tensor

from core.geometry.canonical import inverse_depth_from_depth
from core.geometry.fit import FrameFit
from core.streaming.reconstruct import RenderedFrame

_COLORS = torch.tensor(colormaps["inferno"].colors)  # pyright: ignore (a listed colormap)
"""256 colours of growing lightness, from far (dark) to near (bright)."""
_SEEN_ALPHA = 0.05
"""Below this opacity a pixel shows no depth: the division by alpha would show noise."""


def to_8bit(images: Float[Tensor, "1 3 h w"]) -> UInt8[Tensor, "h w 3"]:
    """Round an RGB image in [0, 1] to bytes."""
    return rearrange((images.clamp(0, 1) * 255).round().byte(), "1 c h w -> h w c").cpu()


def rendered_picture(frame: RenderedFrame, fit: FrameFit) -> UInt8[Tensor, "h w 3"]:
    """Return the reconstruction."""
    return to_8bit(fit.to_display(frame.rgb))


def input_picture(frame: RenderedFrame, fit: FrameFit) -> UInt8[Tensor, "h w 3"]:
    """Return the input."""
    return to_8bit(fit.to_display(frame.target))


def side_by_side_picture(frame: RenderedFrame, fit: FrameFit) -> UInt8[Tensor, "h w2 3"]:
    """Return the input on the left and the reconstruction on the right."""
    both = [fit.to_display(frame.target), fit.to_display(frame.rgb)]
    return to_8bit(torch.cat(both, dim=-1))


def depth_picture(frame: RenderedFrame, fit: FrameFit) -> UInt8[Tensor, "h w 3"]:
    """Return the normalised inverse depth in colours: bright is near, black is nothing there."""
    return to_8bit(fit.to_display(depth_in_colors(frame.depth, frame.alpha)))


def depth_in_colors(
    depth: Float[Tensor, "1 1 h w"], alpha: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 3 h w"]:
    """Return a rendered depth as RGB in [0, 1]: bright is near, black is nothing there.

    The range of colours is that of the canonical space and the same for all frames, so that a video
    does not flicker.
    """
    levels = (seen_inverse_depth(depth, alpha) * (len(_COLORS) - 1)).round().long()
    colors = rearrange(_COLORS.to(levels.device)[levels], "1 1 h w c -> 1 c h w")
    return torch.where(alpha > _SEEN_ALPHA, colors, 0.0)


def seen_inverse_depth(
    depth: Float[Tensor, "1 1 h w"], alpha: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 1 h w"]:
    """Return a rendered depth as normalised inverse depth in [0, 1]; 0 where nothing is there."""
    seen = alpha > _SEEN_ALPHA
    inverse_depth = inverse_depth_from_depth(
        torch.where(seen, depth, 1.0) / torch.where(seen, alpha, 1.0)
    )
    return torch.where(seen, inverse_depth.clamp(0, 1), 0.0)
