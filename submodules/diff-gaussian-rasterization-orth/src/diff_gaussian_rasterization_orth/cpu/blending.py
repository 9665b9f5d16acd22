"""Front-to-back blending of one band of tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diff_gaussian_rasterization_orth.cpu.compiling import compiled, inlined
from diff_gaussian_rasterization_orth.cpu.tiles import (
    LOG2_ALPHA_MAX,
    LOG2_ALPHA_MIN,
    QUEUE_LENGTH,
    TILE_HEIGHT,
    TILE_PIXELS,
    TILE_WIDTH,
    TRANSMITTANCE_LIMIT,
    any_alive,
    enqueue,
    exp2,
    exponent_at,
    gather,
)

Float32 = NDArray[np.float32]

_PLANES = 5
"""Per pixel: transmittance (negative once blending has stopped), r, g, b, depth."""
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled()
def blend_band(
    band: int,
    members: NDArray[np.int32],  # (m,), the band's Gaussians from near to far
    boxes: NDArray[np.int32],  # (n, 4)
    splats: Float32,  # (n, SPLAT_SIZE)
    background: Float32,  # (3,)
    rgb: Float32,  # (3, h, w), written
    depth: Float32,  # (h, w), written
    alpha: Float32,  # (h, w), written
) -> None:
    """Render the rows of one band."""
    height, width = depth.shape
    tiles = (width + TILE_WIDTH - 1) // TILE_WIDTH
    planes = np.zeros(tiles * _PLANES * TILE_PIXELS, np.float32)
    for tile in range(tiles):
        _clear_tile(band, tile, height, width, planes)
    spans = np.empty((len(members), 4), np.int32)
    near = np.empty((len(members), splats.shape[1]), np.float32)
    alive = np.ones(tiles, np.bool_)
    queues = np.empty((tiles, QUEUE_LENGTH), np.int32)
    counts = np.zeros(tiles, np.int32)
    num_alive, position, gathered = tiles, 0, 0
    while num_alive > 0 and position < len(members):
        if position == gathered:
            gathered = gather(gathered, band, members, boxes, splats, spans, near)
        position = enqueue(position, gathered, spans, alive, queues, counts)
        for tile in range(tiles):
            if counts[tile] == QUEUE_LENGTH or position == len(members):
                _blend_queue(tile, queues[tile, : counts[tile]], spans, near, planes)
                counts[tile] = 0
                if alive[tile] and not any_alive(planes, tile * _PLANES * TILE_PIXELS):
                    alive[tile] = False
                    num_alive -= 1
    for tile in range(tiles):
        _write_tile(band, tile, planes, background, rgb, depth, alpha)


@inlined()
def _blend_queue(
    tile: int,
    queue: NDArray[np.int32],
    spans: NDArray[np.int32],
    near: Float32,
    planes: Float32,
) -> None:
    base = np.uint64(tile * _PLANES * TILE_PIXELS)
    first_column = np.float32(tile * TILE_WIDTH)
    for i in queue:
        _blend_rows(
            np.uint64(spans[i, 2]),
            np.uint64(spans[i, 3]),
            base,
            near[i, 0] - first_column,
            near[i, 1],
            near[i, 2],
            near[i, 3],
            near[i, 4],
            near[i, 5],
            near[i, 6],
            near[i, 7],
            near[i, 8],
            near[i, 9],
            near[i, 10],
            planes,
        )


@inlined(fastmath={"contract"})
def _blend_rows(
    first: np.uint64,
    end: np.uint64,
    base: np.uint64,
    u: np.float32,
    v: np.float32,
    uu: np.float32,
    uv: np.float32,
    vv: np.float32,
    constant: np.float32,
    box: np.float32,
    r: np.float32,
    g: np.float32,
    b: np.float32,
    z: np.float32,
    planes: Float32,
) -> None:
    """Blend one Gaussian into pixels ``first`` to ``end - 1`` of a tile.

    Every index is unsigned, for a signed one might count from the end, and that test would keep
    the compiler from vectorising; so would a branch.
    """
    step = np.uint64(TILE_PIXELS)
    for p in range(first, end):
        exponent, du, _ = exponent_at(p, u, v, uu, uv, vv, constant)
        alpha = exp2(min(exponent, LOG2_ALPHA_MAX))
        drawn = (exponent >= LOG2_ALPHA_MIN) & (du * du <= box)
        i = base + p
        before = planes[i]
        behind = before * (_ONE - alpha)
        blended = drawn & (behind >= TRANSMITTANCE_LIMIT)
        weight = before * alpha if blended else _ZERO
        stopped = -abs(before) if drawn else before
        planes[i] = behind if blended else stopped
        planes[i + step] += weight * r
        planes[i + step + step] += weight * g
        planes[i + step + step + step] += weight * b
        planes[i + step + step + step + step] += weight * z


@inlined()
def _clear_tile(band: int, tile: int, height: int, width: int, planes: Float32) -> None:
    """Make the pixels transparent; those outside the image stay opaque."""
    begin = tile * _PLANES * TILE_PIXELS
    for y in range(min(TILE_HEIGHT, height - band * TILE_HEIGHT)):
        for x in range(min(TILE_WIDTH, width - tile * TILE_WIDTH)):
            planes[begin + y * TILE_WIDTH + x] = _ONE


@inlined()
def _write_tile(
    band: int,
    tile: int,
    planes: Float32,
    background: Float32,
    rgb: Float32,
    depth: Float32,
    alpha: Float32,
) -> None:
    height, width = depth.shape
    first_row, first_column = band * TILE_HEIGHT, tile * TILE_WIDTH
    for y in range(min(TILE_HEIGHT, height - first_row)):
        for x in range(min(TILE_WIDTH, width - first_column)):
            i = tile * _PLANES * TILE_PIXELS + y * TILE_WIDTH + x
            row, column = first_row + y, first_column + x
            final_transmittance = abs(planes[i])
            for c in range(3):
                color = planes[i + (c + 1) * TILE_PIXELS]
                rgb[c, row, column] = color + final_transmittance * background[c]
            depth[row, column] = planes[i + 4 * TILE_PIXELS]
            alpha[row, column] = _ONE - final_transmittance
