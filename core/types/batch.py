"""A batch of training clips."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from core.types.tensor_dataclass import TensorDataclass


@dataclass(frozen=True)
class ClipBatch(TensorDataclass):
    """``b`` short clips of ``v`` frames in order; the first and the last are the key frames."""

    frames: Float[Tensor, "b v 3 h w"]
    """RGB in [0, 1]."""
    inverse_depths: Float[Tensor, "b v 1 h w"]
    """Relative inverse depth, each frame normalised to [0, 1]; zeros where there is none."""
    masks: Float[Tensor, "b v 1 h w"]
    """Moving-object masks, 0 or 1; zeros where there is none."""
    times: Float[Tensor, "b v"]
    """Times of the frames: the first is 0, the last is 1 (all 0 when there is one frame)."""
    motion: Float[Tensor, "b 2 2 g_h g_w"]
    """Canonical (x, z) by which what a key frame shows moves until the other key frame: from the
    first frame to the last, then from the last to the first. On a grid of half the frames'
    resolution; zeros where it is not known."""
    motion_known: Bool[Tensor, "b 2 g_h g_w"]
    """Where ``motion`` is known."""
    has_depth: Bool[Tensor, " b"]
    """Which clips carry depth that the depth loss may use."""
    has_mask: Bool[Tensor, " b"]
    """Which clips carry masks."""
