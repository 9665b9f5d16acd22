"""Samples in the integers in which files store them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8, UInt16
from torch import Tensor

from core.geometry.canonical import normalize_inverse_depth
from core.types import ClipBatch, TensorDataclass


@dataclass(frozen=True)
class StoredClips(TensorDataclass):
    """``b`` clips of ``v`` frames as integers, a quarter of the bytes of a ClipBatch."""

    frames: UInt8[Tensor, "b v h w 3"]
    """RGB."""
    inverse_depths: UInt16[Tensor, "b v h w"]
    """Relative inverse depth, large is near; zeros where there is none."""
    masks: UInt8[Tensor, "b v h w"]
    """1 on moving objects; zeros where there are none."""
    times: Float[Tensor, "b v"]
    """Times of the frames: the first is 0, the last is 1 (all 0 when there is one frame)."""
    has_depth: Bool[Tensor, " b"]
    """Which clips carry depth."""
    has_mask: Bool[Tensor, " b"]
    """Which clips carry masks."""

    def unpack(self, device: torch.device | str) -> ClipBatch:
        """Copy to ``device`` and convert to floating-point numbers there; depth is normalised."""
        there = self.to(device, non_blocking=True)
        b, _, height, width, _ = there.frames.shape
        grid = (height // 2, width // 2)
        return ClipBatch(
            frames=rearrange(there.frames, "b v h w c -> b v c h w").float() / 255.0,
            inverse_depths=normalize_inverse_depth(there.inverse_depths.float())[:, :, None],
            masks=there.masks.float()[:, :, None],
            times=there.times,
            motion=torch.zeros(b, 2, 2, *grid, device=device),
            motion_known=torch.zeros(b, 2, *grid, dtype=torch.bool, device=device),
            has_depth=there.has_depth,
            has_mask=there.has_mask,
        )
