"""Depth where little is known: from the surroundings."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from core.depth.motion.depth_map import DepthMap

_NEAR, _FAR = 6.0, 20.0
"""Standard deviations of the two surroundings, pixels."""
_LEAST = 4.0
"""Relative certainty at which a pixel and its surroundings count the same; it is also that of a
guess (an inverse depth that may be wrong by a half)."""
_FAR_SHARE = 0.5
_MOST = 400.0
"""Relative certainty beyond which a pixel counts no more among its neighbours."""
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


def fill(depth: DepthMap, *, holes_only: bool = False) -> DepthMap:
    """Return a map without holes or lone outliers, in which nothing is less than a guess.

    Each value is averaged with its surroundings, which count the more the less certain it is
    (normalised convolution; Knutsson and Westin 1993), at two sizes. A median removes outliers and
    keeps edges. With ``holes_only`` values that are known stay as they are.
    """
    weight = np.minimum(depth.relative_certainty, np.float32(_MOST))
    total = weight * depth.inverse_depth
    near_total, near_weight = (cv2.GaussianBlur(x, (0, 0), _NEAR) for x in (total, weight))
    far_total, far_weight = (_blur_coarsely(x) for x in (near_total, near_weight))
    far = far_total / np.maximum(far_weight, np.float32(1e-6))
    near = (near_total + _FAR_SHARE * far) / (near_weight + _FAR_SHARE)
    mean = (total + _LEAST * near) / (weight + _LEAST)
    smooth = cv2.medianBlur(mean.astype(np.float32), _MEDIAN)
    if holes_only:
        smooth = np.where(depth.certainty > 0, depth.inverse_depth, smooth)
    return DepthMap(smooth, np.maximum(depth.certainty, guess(smooth).certainty))


def _blur_coarsely(values: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Blur by the far deviation, on a quarter of the size, where nothing is lost by it."""
    height, width = values.shape
    small = cv2.resize(values, (-(-width // 4), -(-height // 4)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), _FAR / 4), (width, height))
