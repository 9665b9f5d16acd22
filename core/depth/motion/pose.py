"""Relative poses of key frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from core.types import TensorDataclass

_MANY = 64
"""Systems from which on elimination beats LAPACK on the CPU, too."""
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
    share = 2 / (1 + vector.square().sum(dim=-1) / 4)
    return identity(3, vector.dtype, vector.device) + share[..., None, None] * (half + half @ half)


def skew(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrices of cross products with vectors."""
    return einsum(vector, _generators(vector.dtype, vector.device), "... k, k i j -> ... i j")


def solve(
    matrix: Float[Tensor, "*batch k k"], right: Float[Tensor, "*batch k"]
) -> Float[Tensor, "*batch k"]:
    """Solve small positive definite systems by elimination.

    The solvers of PyTorch make the host wait for a GPU, or cannot be recorded there.
    """
    if not matrix.is_cuda and matrix[..., 0, 0].numel() < _MANY:
        return torch.linalg.solve(matrix, right)
    unit = identity(matrix.shape[-1], matrix.dtype, matrix.device)
    table = torch.cat((matrix, right[..., None]), dim=-1)
    for i in range(matrix.shape[-1]):
        row = table[..., i : i + 1, 1:] / table[..., i : i + 1, :1]
        column = table[..., :1] - unit[:, i : i + 1]
        table = torch.addcmul(table[..., 1:], column, row, value=-1)  # less column i
    return table[..., 0]


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def identity(size: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "k k"]:
    """Return an identity matrix, which is kept: a stream asks for the same all the time."""
    return torch.eye(size, dtype=dtype, device=device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _generators(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "3 3 3"]:
    table = torch.zeros(3, 3, 3, dtype=dtype)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        table[i, k, j], table[i, j, k] = 1, -1
    return table.to(device)
