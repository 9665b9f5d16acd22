"""Quaternions without their largest component, which the other three determine."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def smallest_three(
    quats: Float[np.ndarray, "n 4"],
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Drop the component of largest magnitude of unit quaternions, in any order of components.

    Returns:
        The index of the dropped component; and the others in their order, times the square root
        of 2 and so in [-1, 1], with the sign for which the dropped one is positive.
    """
    largest = np.abs(quats).argmax(axis=1)
    others = np.take_along_axis(quats, _OTHERS[largest], axis=1)
    sign = np.where(np.take_along_axis(quats, largest[:, None], axis=1) < 0, -1, 1)
    return largest, (others * sign * np.sqrt(2, dtype=np.float32)).clip(-1, 1)
