"""Relative poses of key frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.least_squares import identity
from core.types import TensorDataclass

NEAREST_Z = 0.05
"""Least relative depth that a point is divided by."""
OUTLIER_PX = 0.7
"""Deviation of a match, in pixels of the maps, from which on it counts little."""


@dataclass(frozen=True)
class Pose(TensorDataclass):
    """Takes points of one key frame's camera axes to those of another: ``R x + t``."""

    rotation: Float[Tensor, "*batch 3 3"]
    """``R``."""
    translation: Float[Tensor, "*batch 3"]
    """``t``, in the unit of the stream."""

    def moved(self, step: Float[Tensor, "*batch 6"]) -> Pose:
        """Return the pose turned from the left by ``step[:3]``, and moved by ``step[3:]``."""
        return Pose(turn(step[..., :3]) @ self.rotation, self.translation + step[..., 3:])


def turn(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return rotations about vectors by nearly their length, radians (Cayley's map)."""
    half = skew(vector) / 2
    share = 2 / (1 + half.square().sum(dim=(-2, -1), keepdim=True) / 2)
    return torch.addcmul(identity(3, vector.dtype, vector.device), share, half + half @ half)


def skew(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrices of cross products with vectors."""
    return (vector @ generators(vector.dtype, vector.device).flatten(1)).unflatten(-1, (3, 3))


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def generators(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "3 3 3"]:
    """Return the matrices of cross products with the unit vectors."""
    table = torch.zeros(3, 3, 3, dtype=dtype)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        table[i, k, j], table[i, j, k] = 1, -1
    return table.to(device)
