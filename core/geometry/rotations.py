"""Rotations between the forms that the project uses."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def matrices_from_quats(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Turn quaternions (w, x, y, z) into matrices by the formula for unit quaternions.

    The quaternions are used as they are: one that is not of unit length gives a matrix that is not
    a rotation, as it does in the rasteriser.
    """
    w, x, y, z = quats.unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return rearrange(torch.stack(entries, dim=-1), "... (row column) -> ... row column", row=3)


def quats_from_matrices(rotations: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Turn rotation matrices into unit quaternions (w, x, y, z) with w at least 0.

    Each of the four rows of the symmetric matrix ``4 q qᵀ`` is parallel to ``q``; the one with the
    largest diagonal entry is numerically safe for every rotation.
    """
    m = rotations
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    diagonal = [1 + trace, *(1 + 2 * m[..., axis, axis] - trace for axis in range(3))]
    wx, wy, wz = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    rows = [
        torch.stack([diagonal[0], wx, wy, wz], dim=-1),
        torch.stack([wx, diagonal[1], xy, xz], dim=-1),
        torch.stack([wy, xy, diagonal[2], yz], dim=-1),
        torch.stack([wz, xz, yz, diagonal[3]], dim=-1),
    ]
    outer = torch.stack(rows, dim=-2)  # (*batch, 4, 4)
    largest = torch.stack(diagonal, dim=-1).argmax(dim=-1)
    row = torch.take_along_dim(outer, largest[..., None, None], dim=-2).squeeze(-2)
    quats = row / row.norm(dim=-1, keepdim=True)
    return torch.where(quats[..., :1] < 0, -quats, quats)
