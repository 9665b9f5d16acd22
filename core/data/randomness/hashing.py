"""Counter-based random numbers: the same on every device, without state."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def hash_int32(x: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Mix the bits of int32 values (the two-round xorshift-multiply mixer ``lowbias32``).

    Multiplication wraps around; the shifts are made logical by masking.
    """
    x = x ^ ((x >> 16) & 0xFFFF)
    x = x * 0x7FEB352D
    x = x ^ ((x >> 15) & 0x1FFFF)
    x = x * (0x846CA68B - (1 << 32))
    return x ^ ((x >> 16) & 0xFFFF)


def unit_pair(
    hashed: Int[Tensor, "*shape"],
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Split hashed values into two independent uniform numbers in (0, 1), of 16 bits each."""
    low = (hashed & 0xFFFF).to(torch.float32)
    high = ((hashed >> 16) & 0xFFFF).to(torch.float32)
    return (low + 0.5) / 65536.0, (high + 0.5) / 65536.0


def hash_cells(
    keys: Int[Tensor, "*batch"], column: Float[Tensor, "*shape"], row: Float[Tensor, "*shape"]
) -> Int[Tensor, "*shape"]:
    """Hash the cells of a lattice.

    Args:
        keys: One int32 key for each lattice, broadcastable to the cells.
        column: Whole numbers, as floats.
        row: Whole numbers, as floats.
    """
    return hash_int32(hash_int32(column.to(torch.int32) + keys) + row.to(torch.int32))


def white_noise(
    keys: Int[Tensor, " n"], count: int, height: int, width: int
) -> Float[Tensor, "n count 2 h w"]:
    """Return uniform noise in (-0.5, 0.5), ``count`` independent pairs of images for each key."""
    cells = torch.arange(count * height * width, device=keys.device, dtype=torch.int32)
    cells = cells.reshape(1, count, height, width)
    hashed = hash_int32(cells + hash_int32(keys)[:, None, None, None])
    return torch.stack(unit_pair(hashed), dim=2) - 0.5
