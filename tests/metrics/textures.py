"""Images with something to find everywhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor


def texture(height: int, width: int, seed: int = 0) -> UInt8[Tensor, "3 height width"]:
    """Return smooth random colours."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    fine = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (fine[0] * 255).round().byte()
