"""Depth where little is known: from the surroundings."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from core.depth.motion.depth_map import DepthMap

_CELL = 4
"""Pixels a side of the cells on which surroundings are summed up."""
_NEAR, _FAR, _FAR_SHARE = 3.5, 14.0, 0.02
"""Standard deviations of two surroundings, cells, and how much the second one counts."""
_COLOR_VARIANCE, _PLACE_VARIANCE = 3e-4, 1e-2
"""Variance of a feature at which half of its slope is believed."""
_LEAST = 4.0
"""Relative certainty at which a pixel and its surroundings count the same; it is also that of a
guess (an inverse depth that may be wrong by a half)."""
_MOST = 20.0
"""Relative certainty beyond which a pixel counts no more, here: flow that bleeds over an edge is
certain, too. Beyond it a value is known well."""
_MEDIAN = 5


def guess(inverse_depth: Float32[np.ndarray, "h w"]) -> DepthMap:
    """Return an inverse depth that may be wrong by a half."""
    positive = np.maximum(inverse_depth, np.float32(0.02))
    return DepthMap(positive, _LEAST / positive**2)


def complete(depth: DepthMap, single: Float32[np.ndarray, "h w"]) -> DepthMap:
    """Return a map that takes what it does not know from another one, in its own unit.

    Args:
        depth: What is known.
        single: Relative inverse depth of the same frame, brought to the unit of ``depth`` by the
            scale and shift that fit best where both are known.
    """
    known = depth.certainty > 0
    weight = np.minimum(depth.relative_certainty, np.float32(_MOST))[known]
    if not len(weight):
        return guess(single)
    x, y = single[known], depth.inverse_depth[known]
    mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.average((x - mean_x) ** 2, weights=weight)
    product = np.average((x - mean_x) * (y - mean_y), weights=weight)
    scale = max(0.0, product / spread) if spread > 0 else 0.0
    other = guess((mean_y + scale * (single - mean_x)).astype(np.float32))
    return DepthMap(
        np.where(known, depth.inverse_depth, other.inverse_depth),
        np.where(known, depth.certainty, other.certainty),
    )


def keep(depth: DepthMap, filled: DepthMap, *, sure_only: bool) -> DepthMap:
    """Return what is known as it was, and elsewhere what it was filled with.

    What is smoothed time and again would lose its edges.

    Args:
        depth: What is known.
        filled: The same after :func:`fill`.
        sure_only: Keep only what is known well, and of the rest what it was filled with.
    """
    known = depth.relative_certainty >= _MOST if sure_only else depth.certainty > 0
    inverse = np.where(known, depth.inverse_depth, filled.inverse_depth)
    return DepthMap(inverse, filled.certainty)


def fill(depth: DepthMap, colors: Float32[np.ndarray, "h w 3"]) -> DepthMap:
    """Return a map without holes or lone outliers, in which nothing is less than a guess.

    Around each pixel inverse depth is fitted, by certainty, as a linear function of colour and
    place; the less certain a pixel is, the more it takes of that function. So a plain surface
    continues what is known of its colour, and stops where another one begins (a guided filter, He
    et al. 2013, with weights). A median removes outliers and keeps edges.

    Args:
        depth: What is known.
        colors: Of the same frame, in [0, 1].
    """
    weight = np.minimum(depth.relative_certainty, np.float32(_MOST))
    local = _local_fit(depth.inverse_depth, weight, _features(colors))
    mean = (weight * depth.inverse_depth + _LEAST * local) / (weight + _LEAST)
    smooth = cv2.medianBlur(mean.astype(np.float32), _MEDIAN)
    return DepthMap(smooth, np.maximum(depth.certainty, guess(smooth).certainty))


def _features(colors: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 5"]:
    """Return colours and place."""
    height, width = colors.shape[:2]
    v, u = np.mgrid[:height, :width].astype(np.float32) / width
    return np.concatenate((colors, u[..., None], v[..., None]), axis=-1)


def _local_fit(
    values: Float32[np.ndarray, "h w"],
    weight: Float32[np.ndarray, "h w"],
    features: Float32[np.ndarray, "h w k"],
) -> Float32[np.ndarray, "h w"]:
    """Return the weighted linear fit of values by features around each pixel, at least 0."""
    height, width, count = features.shape
    size = (-(-width // _CELL), -(-height // _CELL))
    half = np.s_[::2, ::2]  # enough samples for a sum over cells
    samples, sample_weight = values[half], weight[half]

    def around(map_: Float32[np.ndarray, "h2 w2"]) -> Float32[np.ndarray, "h4 w4"]:
        small = cv2.resize(map_ * sample_weight, size, interpolation=cv2.INTER_AREA)
        wide = cv2.GaussianBlur(small, (0, 0), _FAR)
        return cv2.GaussianBlur(small, (0, 0), _NEAR) + np.float32(_FAR_SHARE) * wide

    total = np.maximum(around(np.ones_like(samples)), np.float32(1e-6))
    planes = np.ascontiguousarray(np.moveaxis(features[half], -1, 0))
    means = [around(plane) / total for plane in planes]
    mean = around(samples) / total
    matrix = np.empty((*size[::-1], count, count), np.float32)
    right = np.empty((*size[::-1], count), np.float32)
    for i, plane in enumerate(planes):
        right[..., i] = around(plane * samples) / total - means[i] * mean
        for j in range(i, count):
            spread = around(plane * planes[j]) / total - means[i] * means[j]
            matrix[..., i, j] = matrix[..., j, i] = spread
        matrix[..., i, i] += _COLOR_VARIANCE if i < 3 else _PLACE_VARIANCE
    slopes = np.linalg.solve(matrix, right[..., None])[..., 0]
    offset = mean - sum(slopes[..., i] * means[i] for i in range(count))
    fine = cv2.resize(slopes, (width, height), interpolation=cv2.INTER_LINEAR)
    fit = cv2.resize(offset, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.maximum(fit + (fine * features).sum(axis=-1), 0)
