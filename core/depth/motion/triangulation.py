"""Dense inverse depth of a key frame from its matches with partners whose poses are known."""

from __future__ import annotations

import torch

from core.depth.motion.adjustment import NEAREST_Z
from core.depth.motion.camera import Camera
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.matching import Matches
from core.depth.motion.pose import OUTLIER_PX, Pose
from core.depth.motion.texture import epipolar_slopes

_ROUNDS = 2
_BEHIND = 0.1
"""What is left of the certainty where the best inverse depth is negative."""


def triangulate(matches: Matches, pose: Pose, camera: Camera) -> DepthMap:
    """Return the inverse depths that explain the matches best, and how certain they are.

    With ``x = K R ray``, ``k = K t`` and the pixel ``q`` of a partner, ``x + rho k ~ (q, 1)`` is
    linear in the inverse depth ``rho``. The least squares over all partners and both coordinates
    are solved twice: matches far from the solution before count little (Geman and McClure
    1985), so that what moves by itself, which no inverse depth explains, is not certain.

    Args:
        matches: Matches with each partner.
        pose: From the key frame to each partner.
        camera: The camera of all.
    """
    flow = matches.flow
    rotation, translation = pose.rotation.to(flow.dtype), pose.translation.to(flow.dtype)
    rays = camera.rays(flow.device)
    x = (rotation @ rays.flatten(1)).unflatten(-1, rays.shape[1:])  # (p, 3, h, w)
    slope = epipolar_slopes(flow, pose, camera)
    arrivals = camera.pixels(flow.device) + flow
    gap = arrivals * x[:, 2:] - x[:, :2] * camera.focal(flow)[:, None, None]
    (slope_u, slope_v), (gap_u, gap_v) = slope.unbind(1), gap.unbind(1)
    square = slope_u * slope_u + slope_v * slope_v
    product = slope_u * gap_u + slope_v * gap_v
    rest = gap_u * gap_u + gap_v * gap_v
    x2, k2 = x[:, 2], translation[:, 2, None, None]
    weight = matches.trust / x2.clamp_min(NEAREST_Z).square()
    certainty, rho = _least_squares(weight, square, product)
    for _ in range(_ROUNDS - 1):
        per_z = (x2 + rho * k2).clamp_min(NEAREST_Z).square().reciprocal()
        error = torch.addcmul(rest, rho, torch.addcmul(-2 * product, rho, square)) * per_z
        weight = matches.trust * per_z / (1 + error / OUTLIER_PX**2).square()
        certainty, rho = _least_squares(weight, square, product)
    is_ahead = (rho > 0).float()
    return DepthMap(rho.clamp_min(0), certainty * (_BEHIND + (1 - _BEHIND) * is_ahead))


def _least_squares(
    weight: torch.Tensor, square: torch.Tensor, product: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    certainty = (weight * square).sum(dim=0)
    return certainty, (weight * product).sum(dim=0) / certainty.clamp_min(1e-6)
