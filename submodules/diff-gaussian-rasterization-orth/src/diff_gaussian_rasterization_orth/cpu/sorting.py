"""Order of depth, and which Gaussians touch which band of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diff_gaussian_rasterization_orth.cpu.compiling import compiled, inlined
from diff_gaussian_rasterization_orth.cpu.tiles import TILE_HEIGHT

_DIGIT_BITS = 13
"""Two digits hold every depth between 0.1 and 5."""
_NUM_DIGITS = 1 << _DIGIT_BITS


@compiled()
def order_by_depth(
    depths: NDArray[np.float32],  # (n,), positive where visible
    visible: NDArray[np.bool_],  # (n,)
) -> NDArray[np.int32]:
    """Return the indices of visible Gaussians from near to far, ties by index.

    A radix sort, which is stable: the bits of positive floats are in the order of their values.
    """
    bits = depths.view(np.uint32)
    order = np.flatnonzero(visible).astype(np.int32)
    lowest, highest = np.uint32(0xFFFFFFFF), np.uint32(0)
    for index in order:
        lowest, highest = min(lowest, bits[index]), max(highest, bits[index])
    other = np.empty_like(order)
    starts = np.empty(_NUM_DIGITS + 1, np.int64)
    shift = 0
    while len(order) > 0 and (highest - lowest) >> np.uint32(shift) > 0:
        starts[:] = 0
        for index in order:
            starts[_digit(bits[index] - lowest, shift) + 1] += 1
        for digit in range(_NUM_DIGITS):
            starts[digit + 1] += starts[digit]
        for index in order:
            digit = _digit(bits[index] - lowest, shift)
            other[starts[digit]] = index
            starts[digit] += 1
        order, other = other, order
        shift += _DIGIT_BITS
    return order


@inlined()
def _digit(key: np.uint32, shift: int) -> np.uint32:
    return (key >> np.uint32(shift)) & np.uint32(_NUM_DIGITS - 1)


@compiled()
def list_bands(
    order: NDArray[np.int32],  # (m,), visible Gaussians from near to far
    boxes: NDArray[np.int32],  # (n, 4): first and last column, first and last row
    starts: NDArray[np.int64],  # (bands + 1,), written: where each band's list begins
) -> NDArray[np.int32]:
    """Return the Gaussians of every band, one list after the other, each from near to far."""
    starts[:] = 0
    for g in order:
        if boxes[g, 0] <= boxes[g, 1]:
            for band in range(boxes[g, 2] // TILE_HEIGHT, boxes[g, 3] // TILE_HEIGHT + 1):
                starts[band + 1] += 1
    for band in range(len(starts) - 1):
        starts[band + 1] += starts[band]
    members = np.empty(starts[-1], np.int32)
    ends = starts[:-1].copy()
    for g in order:
        if boxes[g, 0] <= boxes[g, 1]:
            for band in range(boxes[g, 2] // TILE_HEIGHT, boxes[g, 3] // TILE_HEIGHT + 1):
                members[ends[band]] = g
                ends[band] += 1
    return members


@compiled()
def places_of_members(
    members: NDArray[np.int32],  # (m,)
    starts: NDArray[np.int64],  # (n + 1,), written
    places: NDArray[np.int64],  # (m,), written
) -> None:
    """Invert the lists: Gaussian ``g`` is at ``places[starts[g] : starts[g + 1]]``, in order."""
    starts[:] = 0
    for g in members:
        starts[g + 1] += 1
    for g in range(len(starts) - 1):
        starts[g + 1] += starts[g]
    ends = starts[:-1].copy()
    for place in range(len(members)):
        g = members[place]
        places[ends[g]] = place
        ends[g] += 1
