"""Change of the size of images: area averages to shrink, cubic interpolation to grow."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _area_weights(
    size_in: int, size_out: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "out in"]:
    """Return the share of each input pixel in each output pixel, along one axis.

    Kept, because a stream asks for the same for each frame; outside of inference mode, because what
    is kept may be asked for by training next.
    """
    edges = torch.arange(size_out + 1, dtype=torch.float64) * size_in / size_out
    pixels = torch.arange(size_in, dtype=torch.float64)
    begin = torch.maximum(edges[:-1, None], pixels)
    end = torch.minimum(edges[1:, None], pixels + 1)
    overlap = (end - begin).clamp_min(0)
    return (overlap / overlap.sum(dim=1, keepdim=True)).to(device, dtype)


def resize(
    images: Float[Tensor, "b c h w"], size: tuple[int, int]
) -> Float[Tensor, "b c height width"]:
    """Resize images to ``size`` (height, width).

    An axis that shrinks is averaged over exact pixel areas, which cannot alias; one that grows is
    interpolated cubically, and kept within the range of the image so that nothing overshoots.
    """
    height, width = images.shape[-2:]
    shrunk = images
    if size[0] < height:
        shrunk = _area_weights(height, size[0], images.dtype, images.device) @ shrunk
    if size[1] < width:
        shrunk = shrunk @ _area_weights(width, size[1], images.dtype, images.device).mT
    if shrunk.shape[-2:] == size:
        return shrunk
    grown = F.interpolate(shrunk, size=size, mode="bicubic", align_corners=False)
    low = images.amin(dim=(-2, -1), keepdim=True)
    return torch.minimum(torch.maximum(grown, low), images.amax(dim=(-2, -1), keepdim=True))
