"""The gradient of blending one band of tiles, front to back like the forward pass.

The colour that arrives from behind a Gaussian is what its pixel shows in the end less what was
blended up to it, so no order needs to be stored and nothing is replayed in reverse.
"""

from __future__ import annotations

from typing import Any

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

NUM_MOMENTS = 10
"""Sums over pixels: of q, q·du, q·dv, q·du², q·du·dv, q·dv², where q is the gradient of alpha's
logarithm and (du, dv) the offset from pixel to centre; then the gradients of r, g, b and depth."""

_PLANES = 7
"""Per pixel: transmittance as in the forward pass, the loss's share of what is not yet blended,
and the gradients of r, g, b, depth and alpha."""
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled()
def blend_band_backward(
    band: int,
    members: NDArray[np.int32],  # (m,), the band's Gaussians from near to far
    boxes: NDArray[np.int32],  # (n, 4)
    splats: Float32,  # (n, SPLAT_SIZE)
    rgb: Float32,  # (3, h, w), as rendered
    depth: Float32,  # (h, w)
    alpha: Float32,  # (h, w)
    v_rgb: Float32,  # (3, h, w)
    v_depth: Float32,  # (h, w)
    v_alpha: Float32,  # (h, w)
    moments: Float32,  # (m, NUM_MOMENTS), added to
) -> None:
    """Sum the moments of all Gaussians over the pixels of one band."""
    tiles = (depth.shape[1] + TILE_WIDTH - 1) // TILE_WIDTH
    planes = np.zeros(tiles * _PLANES * TILE_PIXELS, np.float32)
    for tile in range(tiles):
        _read_tile(band, tile, rgb, depth, alpha, v_rgb, v_depth, v_alpha, planes)
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
                _blend_queue(tile, queues[tile, : counts[tile]], spans, near, planes, moments)
                counts[tile] = 0
                if alive[tile] and not any_alive(planes, tile * _PLANES * TILE_PIXELS):
                    alive[tile] = False
                    num_alive -= 1


@inlined()
def _blend_queue(
    tile: int,
    queue: NDArray[np.int32],
    spans: NDArray[np.int32],
    near: Float32,
    planes: Float32,
    moments: Float32,
) -> None:
    base = np.uint64(tile * _PLANES * TILE_PIXELS)
    first_column = np.float32(tile * TILE_WIDTH)
    for i in queue:
        sums = _blend_rows(
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
        for m in range(NUM_MOMENTS):
            moments[i, m] += sums[m]


# Sums may be taken in any order, eight pixels at a time.
@inlined(fastmath={"contract", "reassoc", "nsz"})
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
) -> Any:
    """Return the moments of one Gaussian over pixels ``first`` to ``end - 1`` of a tile."""
    step = np.uint64(TILE_PIXELS)
    m_0 = m_u = m_v = m_uu = m_uv = m_vv = m_r = m_g = m_b = m_z = _ZERO
    for p in range(first, end):
        exponent, du, dv = exponent_at(p, u, v, uu, uv, vv, constant)
        alpha = exp2(min(exponent, LOG2_ALPHA_MAX))
        drawn = (exponent >= LOG2_ALPHA_MIN) & (du * du <= box)
        i = base + p
        before = planes[i]
        behind = before * (_ONE - alpha)
        blended = drawn & (behind >= TRANSMITTANCE_LIMIT)
        weight = before * alpha if blended else _ZERO
        stopped = -abs(before) if drawn else before
        planes[i] = behind if blended else stopped
        i_r = i + step + step
        i_g = i_r + step
        i_b = i_g + step
        i_z = i_b + step
        v_weight = (r * planes[i_r] + g * planes[i_g] + b * planes[i_b] + z * planes[i_z]) + planes[
            i_z + step
        ]
        unblended = planes[i + step] - weight * v_weight
        planes[i + step] = unblended
        # The gradient of alpha's logarithm: alpha times that of alpha.
        q = weight * v_weight - unblended * (alpha / (_ONE - alpha))
        q = q if blended & (exponent < LOG2_ALPHA_MAX) else _ZERO
        m_0 += q
        m_u += q * du
        m_v += q * dv
        m_uu += q * (du * du)
        m_uv += q * (du * dv)
        m_vv += q * (dv * dv)
        m_r += weight * planes[i_r]
        m_g += weight * planes[i_g]
        m_b += weight * planes[i_b]
        m_z += weight * planes[i_z]
    return m_0, m_u, m_v, m_uu, m_uv, m_vv, m_r, m_g, m_b, m_z


@inlined()
def _read_tile(
    band: int,
    tile: int,
    rgb: Float32,
    depth: Float32,
    alpha: Float32,
    v_rgb: Float32,
    v_depth: Float32,
    v_alpha: Float32,
    planes: Float32,
) -> None:
    """Fill a tile's planes; pixels outside the image have no gradient."""
    height, width = depth.shape
    first_row, first_column = band * TILE_HEIGHT, tile * TILE_WIDTH
    for y in range(min(TILE_HEIGHT, height - first_row)):
        for x in range(min(TILE_WIDTH, width - first_column)):
            i = tile * _PLANES * TILE_PIXELS + y * TILE_WIDTH + x
            row, column = first_row + y, first_column + x
            planes[i] = _ONE
            planes[i + TILE_PIXELS] = (
                depth[row, column] * v_depth[row, column]
                + alpha[row, column] * v_alpha[row, column]
            )
            for c in range(3):
                planes[i + TILE_PIXELS] += rgb[c, row, column] * v_rgb[c, row, column]
                planes[i + (2 + c) * TILE_PIXELS] = v_rgb[c, row, column]
            planes[i + 5 * TILE_PIXELS] = v_depth[row, column]
            planes[i + 6 * TILE_PIXELS] = v_alpha[row, column]
