"""The focal length that explains the matches of a key frame with all partners."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.camera.focal_length import FocalEstimate
from core.depth.motion.least_squares import solve
from core.depth.motion.pose import NEAREST_Z, Pose
from core.depth.motion.poses.adjustment import (
    SMALLEST,
    SMALLEST_CERTAINTY,
    Points,
    linearized,
    on_diagonal,
)

_ROUNDS = 2
_FIRST_DEPTH = 0.02
"""Inverse depth that points begin with at least."""
_MOST = 0.15
"""Largest step of the logarithm of the focal length."""
_LONGEST = 1.2
"""Largest distance from the usual focal length: 20 to 125 degrees."""


def recalibrate(
    points: Points, pose: Pose, focal: Float[Tensor, "2"], before: FocalEstimate
) -> FocalEstimate:
    """Return the focal length that a key frame and those before it suggest.

    One unknown more, the logarithm of the focal length, joins the poses and inverse depths of
    :func:`~core.depth.motion.poses.adjustment.adjust`, and is eliminated last: what is left then is
    what matches say of it. That is nothing where the camera does not turn, and much where it turns
    as it moves. Depth that was known does not count, since it was found with the focal length
    supposed so far.

    Args:
        points: The points.
        pose: From the key frame to each partner, as adjusted.
        focal: Focal lengths that they were adjusted with, pixels.
        before: What key frames before say.
    """
    count = len(points.seen)
    information = before.information.to(focal)
    rho = points.known.clamp_min(_FIRST_DEPTH)
    change, held = torch.zeros_like(information), information
    for _ in range(_ROUNDS):
        ratio = change.exp()
        lines = points.lines(ratio * focal)
        rays = torch.cat((points.rays[:2] / ratio, points.rays[2:]))
        rows, weight, y = linearized(replace(points, rays=rays), rho, pose, lines)
        # Derivatives by the logarithm: rays narrow, and pictures widen.
        narrowed = pose.rotation[..., :2] @ rays[:2]
        widened = (ratio * focal)[:, None] * y[:, :2]
        by_focal = widened[:, None] - (lines * narrowed[:, :, None]).sum(dim=1, keepdim=True)
        rows = torch.cat((rows, by_focal / y[:, 2:].clamp_min(NEAREST_Z)[:, None]), dim=1)
        weighted = rows * weight[:, None, None]
        normal = weighted.flatten(-2) @ rows.flatten(-2).mT  # (p, 9, 9)
        by_point = (weighted * rows[:, 6:7]).sum(dim=-2)  # (p, 9, n)
        curvature, slope, mixed_focal = by_point[:, 6:].sum(dim=0)
        curvature = curvature + SMALLEST_CERTAINTY
        mixed = by_point[:, :6].flatten(0, 1)  # (6 p, n)
        shared, shared_focal = mixed / curvature, mixed_focal / curvature
        left = on_diagonal(normal[:, :6, :6]) - shared @ mixed.mT
        sides = torch.stack((
            normal[:, :6, 8].flatten() - shared @ mixed_focal,
            shared @ slope - normal[:, :6, 7].flatten(),
        ))  # (2, 6 p)  # fmt: skip
        by_pose, alone = solve(left.expand(2, -1, -1), sides)
        found = normal[:, 8, 8].sum() - shared_focal @ mixed_focal - sides[0] @ by_pose
        found = found.clamp_min(0)
        pull = shared_focal @ slope - normal[:, 8, 7].sum() - sides[0] @ alone
        step = ((pull - information * change) / (found + information)).clamp(-_MOST, _MOST)
        moved = alone - step * by_pose
        rho = rho - (slope + moved @ mixed + step * mixed_focal) / curvature
        rho = rho.clamp_min(SMALLEST)
        pose = pose.moved(moved.unflatten(-1, (count, 6)))
        change, held = change + step, found + information
    log_ratio = (before.log_ratio + change).clamp(-_LONGEST, _LONGEST)
    return FocalEstimate(log_ratio.to(before.log_ratio), held.to(before.information))
