"""Depth of the key frame before, carried along the flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.depth_map import SMALLEST, DepthMap
from core.depth.motion.pose import Pose

_LOSS = 0.05
"""What carrying adds to the deviation of an inverse depth, as a share of it."""
_DOUBTFUL = 1.0
"""Most relative certainty of depth that is carried along a flow that does not come home: where it
fails, the depth before says more than the surroundings do."""
_NOTHING = 1e-6
"""Certainty that is none."""
_LOSS_OF_STILL = 0.01
"""The same where the camera only turned: nothing else would renew it."""


def carry(
    there: DepthMap,
    is_matched: Bool[Tensor, "*shape"],
    pose: Pose,
    rays: Float[Tensor, "3 *shape"],
    is_still: Bool[Tensor, ""] | None = None,
) -> DepthMap:
    """Return the depth of a key frame as the one before knows it.

    Args:
        there: Depth of the key frame before, read where the flow leads.
        is_matched: Which pixels have a match.
        pose: From the new camera to the one before.
        rays: Of the new camera.
        is_still: Whether the camera only turned; by default it did not.
    """
    rho, certainty = there.inverse_depth, there.certainty
    # A point at depth 1 / rho before is at z (R ray) + t there: solved for the new depth.
    ahead, translation = pose.rotation[..., 2, :].to(rho), pose.translation[..., 2:].to(rho)
    forward = (ahead @ rays.flatten(1)).unflatten(-1, rays.shape[1:])
    change = forward / (1 - rho * translation).clamp_min(0.2)
    moved = (rho * change).clamp_min(0)
    loss = _LOSS if is_still is None else torch.where(is_still, _LOSS_OF_STILL, _LOSS)
    variance = change.square().square() / certainty.clamp_min(1e-9)
    sure = 1 / (variance + (loss * moved.clamp_min(SMALLEST)).square())
    doubtful = torch.minimum(sure, _DOUBTFUL / moved.clamp_min(SMALLEST).square())
    carried = torch.lerp(doubtful, sure, is_matched.to(sure))
    return DepthMap(moved, F.threshold(carried, _NOTHING, 0.0))
