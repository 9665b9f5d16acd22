"""Depth of the key frame before, carried along the flow."""

from __future__ import annotations

import numpy as np

from core.depth.motion.camera import Camera
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.matching import Matches, follow
from core.depth.motion.pose import Pose

_LOSS = 0.05
"""What carrying adds to the deviation of an inverse depth, as a share of it."""
_LOSS_OF_STILL = 0.01
_SMALLEST = 0.02
"""Inverse depth below which that deviation shrinks no further, unit of the stream."""


def carry(
    before: DepthMap, matches: Matches, pose: Pose, camera: Camera, *, is_still: bool = False
) -> DepthMap:
    """Return the depth of a key frame as the one before knows it.

    Args:
        before: Depth of the key frame before.
        matches: Of the new key frame in the one before.
        pose: From the new camera to the one before.
        camera: The camera of both.
        is_still: The camera only turned, so that little is lost: nothing else would renew it.
    """
    rho = follow(before.inverse_depth, matches.flow, camera)
    certainty = follow(before.certainty, matches.flow, camera)
    # A point at depth 1 / rho before is at z (R ray) + t there: solved for the new depth.
    forward = camera.rays @ pose.rotation[2].astype(np.float32)
    change = forward / np.maximum(1 - rho * np.float32(pose.translation[2]), 0.2)
    moved = np.maximum(rho * change, 0)
    known = (matches.trust > 0) & (certainty > 0)
    variance = (
        change**4 / np.where(known, certainty, 1)
        + ((_LOSS_OF_STILL if is_still else _LOSS) * np.maximum(moved, _SMALLEST)) ** 2
    )
    return DepthMap(moved, np.where(known, 1 / variance, 0).astype(np.float32))
