"""Order of depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diff_gaussian_rasterization_orth.cpu.compiling import compiled

_DIGIT_BITS = 11
_NUM_DIGITS = 1 << _DIGIT_BITS


@compiled()
def order_by_depth(
    depths: NDArray[np.float32],  # (n,), positive where visible
    visible: NDArray[np.bool_],  # (n,)
) -> NDArray[np.int32]:
    """Return the indices of visible Gaussians from near to far, ties by index.

    A radix sort, which is stable: the bits of positive floats are in the order of their values.
    """
    keys = depths.view(np.uint32)
    order = np.flatnonzero(visible).astype(np.int32)
    other = np.empty_like(order)
    starts = np.empty(_NUM_DIGITS + 1, np.int64)
    for shift in range(0, 32, _DIGIT_BITS):
        starts[:] = 0
        for index in order:
            starts[((keys[index] >> np.uint32(shift)) & np.uint32(_NUM_DIGITS - 1)) + 1] += 1
        for digit in range(_NUM_DIGITS):
            starts[digit + 1] += starts[digit]
        for index in order:
            digit = (keys[index] >> np.uint32(shift)) & np.uint32(_NUM_DIGITS - 1)
            other[starts[digit]] = index
            starts[digit] += 1
        order, other = other, order
    return order


@compiled()
def count_slots(
    order: NDArray[np.int32],  # (m,), visible Gaussians
    boxes: NDArray[np.int32],  # (n, 4)
    band_height: int,
    starts: NDArray[np.int64],  # (n + 1,), written
) -> None:
    """Give each Gaussian one slot for each band of rows that its box touches."""
    starts[:] = 0
    for g in order:
        starts[g + 1] = boxes[g, 3] // band_height - boxes[g, 2] // band_height + 1
    for g in range(len(starts) - 1):
        starts[g + 1] += starts[g]
