"""Tiles and bands of an image, and their queues of Gaussians in order of depth.

An image is cut into bands of tiles. A band is one task for one thread: it takes the Gaussians that
touch it from near to far and puts each into the queues of the tiles that its box overlaps. A full
queue is blended and emptied, so that memory does not grow with the scene, and a tile whose
pixels all are opaque takes nothing more; when all tiles of a band are, the band is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from diff_gaussian_rasterization_orth.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from diff_gaussian_rasterization_orth.cpu.compiling import inlined

TILE_WIDTH = 8
"""Columns of a tile: one vector of float32 on AVX2."""
TILE_HEIGHT = 16
"""Rows of a tile, and of a band."""
TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT
QUEUE_LENGTH = 32
"""Gaussians that wait for a tile."""
_GATHERED = 1024
"""Gaussians that a band lays side by side at a time."""

PIXEL_U = np.tile(np.arange(TILE_WIDTH, dtype=np.float32), TILE_HEIGHT)
"""Column of each pixel within its tile; pixels are in row-major order."""
PIXEL_V = np.repeat(np.arange(TILE_HEIGHT, dtype=np.float32), TILE_WIDTH)
"""Row of each pixel within its tile."""

LOG2_ALPHA_MIN = np.float32(np.log2(ALPHA_MIN))
LOG2_ALPHA_MAX = np.float32(np.log2(ALPHA_MAX))
TRANSMITTANCE_LIMIT = np.float32(TRANSMITTANCE_MIN)

# 2**x = 2**round(x) · 2**f with f in [-0.5, 0.5]; a polynomial for the latter, relative error 9e-8.
_EXP2 = tuple(
    np.float32(c)
    for c in (1.0, 0.6931470037, 0.2402224243, 0.0555073395, 0.0096715139, 0.0013264708)
)
_ROUND = np.float32(1.5 * 2**23)
"""Added to a small float32, it leaves no bits for a fraction: the sum ends in round(x)."""
_EXPONENT_SHIFT = np.int32(23)


def _reinterpret(source: Any, target: Any, ir_type: ir.Type) -> Any:
    """Make a compiled function that reads the bits of a ``source`` as a ``target``."""

    @intrinsic
    def bitcast(_context: Any, _value: Any) -> Any:
        return target(source), lambda _c, builder, _s, args: builder.bitcast(args[0], ir_type)

    return bitcast


_bits_of = _reinterpret(types.float32, types.int32, ir.IntType(32))
_float_of = _reinterpret(types.int32, types.float32, ir.FloatType())


@inlined()
def exp2(x: np.float32) -> np.float32:
    """Return 2**x for x in [-126, 127], without a branch, so that loops over it vectorise.

    No fast-math here: reassociation would remove the rounding.
    """
    shifted = x + _ROUND
    f = x - (shifted - _ROUND)
    p = _EXP2[4] + _EXP2[5] * f
    p = _EXP2[3] + p * f
    p = _EXP2[2] + p * f
    p = _EXP2[1] + p * f
    p = _EXP2[0] + p * f
    return _float_of(np.int32(_bits_of(p) + (_bits_of(shifted) << _EXPONENT_SHIFT)))


@inlined(fastmath={"contract"})
def exponent_at(
    p: np.uint64,
    u: np.float32,
    v: np.float32,
    uu: np.float32,
    uv: np.float32,
    vv: np.float32,
    constant: np.float32,
) -> tuple[np.float32, np.float32, np.float32]:
    """Return log2 of a splat's alpha at pixel ``p`` of a tile, and the offset to its centre.

    Shared by forward and backward, which must agree to the bit on what is drawn.
    """
    du = u - PIXEL_U[p]
    dv = v - PIXEL_V[p]
    return uu * (du * du) + dv * (vv * dv + uv * du) + constant, du, dv


@inlined()
def gather(
    start: int,
    band: int,
    members: NDArray[np.int32],  # (m,), the band's Gaussians from near to far
    boxes: NDArray[np.int32],  # (n, 4)
    splats: NDArray[np.float32],  # (n, SPLAT_SIZE)
    spans: NDArray[np.int32],  # (m, 4), written: first and last tile, first and past last pixel
    near: NDArray[np.float32],  # (m, SPLAT_SIZE), written
) -> int:
    """Lay the next Gaussians of a band side by side in memory; return where to go on.

    Their rows are counted from the band's first. Copying them in a loop that does little else
    lets the processor wait for many of them at once.
    """
    first_row = band * TILE_HEIGHT
    end = min(start + _GATHERED, len(members))
    for i in range(start, end):
        g = members[i]
        spans[i, 0] = boxes[g, 0] // TILE_WIDTH
        spans[i, 1] = boxes[g, 1] // TILE_WIDTH
        spans[i, 2] = max(boxes[g, 2] - first_row, 0) * TILE_WIDTH
        spans[i, 3] = (min(boxes[g, 3] - first_row, TILE_HEIGHT - 1) + 1) * TILE_WIDTH
        for c in range(splats.shape[1]):
            near[i, c] = splats[g, c]
        near[i, 1] -= np.float32(first_row)
    return end


@inlined()
def enqueue(
    start: int,
    end: int,
    spans: NDArray[np.int32],  # (m, 4)
    alive: NDArray[np.bool_],  # (tiles,)
    queues: NDArray[np.int32],  # (tiles, QUEUE_LENGTH)
    counts: NDArray[np.int32],  # (tiles,)
) -> int:
    """Queue Gaussians ``start`` to ``end - 1`` until a queue is full; return where to go on."""
    for i in range(start, end):
        full = False
        for tile in range(spans[i, 0], spans[i, 1] + 1):
            if alive[tile]:
                queues[tile, counts[tile]] = i
                counts[tile] += 1
                full |= counts[tile] == QUEUE_LENGTH
        if full:
            return i + 1
    return end


@inlined()
def any_alive(planes: NDArray[np.float32], begin: int) -> bool:
    """Say whether a pixel of the tile whose transmittance begins there still takes anything."""
    found = False
    for value in planes[begin : begin + TILE_PIXELS]:
        found |= value > 0
    return found
