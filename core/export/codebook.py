"""Scalar quantisation by 256 values that are chosen for the data."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

SIZE = 256
_BINS = 1 << 14
_ROUNDS = 16
_SPREAD = 64
"""How many of the values begin evenly over the range, for what is rare."""


def quantize_by_codebook(
    values: Float[np.ndarray, "*shape"],
) -> tuple[Float[np.ndarray, "256"], UInt8[np.ndarray, "*shape"]]:
    """Choose 256 values by k-means over a histogram of ``values``, and the nearest one for each.

    Lloyd's algorithm starts from quantiles and evenly spread values. A histogram of 16,384 bins
    makes its cost independent of the number of values, and adds an error of up to half a bin.

    Returns:
        The values in increasing order; and the index of each one's nearest.
    """
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    width = max((high - low) / _BINS, 1e-12)
    bins = ((values - low) / width).astype(np.int32).clip(0, _BINS - 1)
    counts = np.bincount(bins.ravel(), minlength=_BINS)
    middles = low + (np.arange(_BINS) + 0.5) * width
    filled = np.flatnonzero(counts)
    if len(filled) <= SIZE:
        centers = np.full(SIZE, high)
        centers[: len(filled)] = middles[filled]
    else:
        # The root lets rare values have their share of the 256, too.
        centers = _cluster(middles[filled], np.sqrt(counts[filled]))
    nearest = np.searchsorted((centers[1:] + centers[:-1]) / 2, middles).astype(np.uint8)
    return centers, nearest[bins]


def _cluster(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return cluster centres of sorted, weighted points."""
    mass = np.concatenate([[0], weights.cumsum()])
    moment = np.concatenate([[0], (weights * points).cumsum()])
    shares = (np.arange(SIZE - _SPREAD) + 0.5) / (SIZE - _SPREAD) * mass[-1]
    quantiles = points[np.searchsorted(mass[1:], shares)]
    centers = np.sort(np.append(quantiles, np.linspace(points[0], points[-1], _SPREAD)))
    for _ in range(_ROUNDS):
        edges = np.searchsorted(points, (centers[1:] + centers[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(points)]])
        weight = np.diff(mass[edges])
        sums = np.diff(moment[edges])
        centers = np.where(weight > 0, sums / np.where(weight > 0, weight, 1), centers)
    return centers
