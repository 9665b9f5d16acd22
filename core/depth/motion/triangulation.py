"""Dense inverse depth of a key frame from its matches with partners whose poses are known."""

from __future__ import annotations

import torch

from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.matching import Matches
from core.depth.motion.pose import NEAREST_Z, OUTLIER_PX, Pose
from core.depth.motion.texture import Structure, held_along

_ROUNDS = 2
_BEHIND = 0.1
"""What is left of the certainty where the best inverse depth is negative."""


def triangulate(matches: Matches, texture: Structure, pose: Pose, camera: Camera) -> DepthMap:
    """Return the inverse depths that explain the matches best, and how certain they are.

    With ``x = K R ray``, ``k = K t`` and the pixel ``q`` of a partner, ``x + rho k ~ (q, 1)`` is
    linear in the inverse depth ``rho``. The least squares over all partners and both coordinates
    are solved twice: matches far from the solution before count little (Geman and McClure
    1985), so that what moves by itself, which no inverse depth explains, is not certain. A match
    counts as far as texture holds it along its epipolar line: depth rests on its length alone.

    Args:
        matches: Matches with each partner.
        texture: The structure tensor of the key frame.
        pose: From the key frame to each partner.
        camera: The camera of all.
    """
    flow = matches.flow
    rotation, translation = pose.rotation.to(flow.dtype), pose.translation.to(flow.dtype)
    rays = camera.rays(flow.device)
    x = (rotation @ rays.flatten(1)).unflatten(-1, rays.shape[1:])  # (p, 3, h, w)
    focal = camera.focal(flow)
    arrivals = camera.pixels(flow.device) + flow
    x2, k2 = x[:, 2], translation[:, 2, None, None]
    towards = (focal * translation[:, :2])[..., None, None]
    slope = torch.addcmul(towards, arrivals, k2[:, None], value=-1)  # (p, 2, h, w), by rho
    gap = arrivals * x[:, 2:] - x[:, :2] * focal[:, None, None]
    (slope_u, slope_v), (gap_u, gap_v) = slope.unbind(1), gap.unbind(1)
    square = torch.addcmul(slope_u * slope_u, slope_v, slope_v)
    product = torch.addcmul(slope_u * gap_u, slope_v, gap_v)
    rest = torch.addcmul(gap_u * gap_u, gap_v, gap_v)
    trust = matches.trust * held_along(texture, slope, square)
    certainty, rho = _least_squares(trust, square, product)
    for _ in range(_ROUNDS - 1):
        per_z = torch.addcmul(x2, rho, k2).clamp_min(NEAREST_Z).square().reciprocal()
        error = torch.addcmul(rest, rho, torch.addcmul(-2 * product, rho, square)) * per_z
        weight = trust * per_z / (1 + error / OUTLIER_PX**2).square()
        certainty, rho = _least_squares(weight, square, product)
    is_ahead = (rho > 0).float()
    return DepthMap(rho.clamp_min(0), certainty * (_BEHIND + (1 - _BEHIND) * is_ahead))


def _least_squares(
    weight: torch.Tensor, square: torch.Tensor, product: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    certainty = (weight * square).sum(dim=0)
    return certainty, (weight * product).sum(dim=0) / certainty.clamp_min(1e-6)
