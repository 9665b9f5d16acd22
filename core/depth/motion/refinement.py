"""Depth moved to where the pictures agree, which takes off errors of flow, too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.matching import Matches, follow
from core.depth.motion.pose import NEAREST_Z, Pose
from core.depth.motion.texture import window_means

_SURROUNDINGS = 9
"""Side of the window whose mean is taken off a picture, pixels: exposure may change."""
_ROUNDS = 2
_RIDGE = 1.0
"""Mean squared gradient along the epipolar line, (grey levels / pixel)^2, at which depth takes half
of its step."""
_OUTLIER = 40.0
"""Difference in grey levels from which on a pixel counts little."""
_MOST_PX = 1.0
"""Farthest step of any match; what is farther off is no small error of a flow."""


def without_surroundings(grey: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Return grey levels less the mean of what is around them."""
    reach = _SURROUNDINGS // 2
    around = F.pad(grey[None, None], (reach, reach, reach, reach), mode="replicate")
    rows = F.avg_pool2d(around, (_SURROUNDINGS, 1), 1)
    return grey - F.avg_pool2d(rows, (1, _SURROUNDINGS), 1)[0, 0]


def refine(
    depth: DepthMap,
    matches: Matches,
    pose: Pose,
    picture: Float[Tensor, "h w"],
    gradient: Float[Tensor, "2 h w"],
    camera: Camera,
) -> DepthMap:
    """Return depth after steps towards equal grey levels in all partners, as certain as before.

    As by Lucas and Kanade (1981), but matches move along their epipolar lines only, by one inverse
    depth for all partners: that of matches alone has to be some tenths of a pixel off at most.

    Args:
        depth: Of a key frame, from its matches.
        matches: Which partners see a pixel, and their pictures.
        pose: From the key frame to each partner.
        picture: The key frame's grey levels, :func:`without_surroundings`.
        gradient: By (u, v), grey levels / pixel.
        camera: The camera of all.
    """
    rho, device = depth.inverse_depth, picture.device
    pixels, rays = camera.pixels(device), camera.rays(device)
    focal = camera.focal(rho)[:, None, None]
    rotated = (pose.rotation.to(rho) @ rays.flatten(1)).unflatten(-1, rays.shape[1:])
    moved = pose.translation.to(rho)[..., None, None].unbind(1)
    ahead = focal * rotated[:, :2]  # (p, 2, h, w)
    towards = focal[0] * moved[0], focal[1] * moved[1]
    by_u, by_v = gradient
    is_seen = (matches.trust > 0).to(rho)
    for _ in range(_ROUNDS):
        per_z = torch.addcmul(rotated[:, 2], rho, moved[2]).clamp_min(NEAREST_Z).reciprocal()
        u, v = (torch.addcmul(ahead[:, i], rho, towards[i]) * per_z for i in range(2))
        flow = torch.stack((u, v), dim=1) - pixels
        difference = follow(matches.pictures[:, None], flow, camera)[:, 0] - picture
        difference = difference / (1 + (difference / _OUTLIER).square())
        slope_u = torch.addcmul(towards[0], u, moved[2], value=-1) * per_z  # by rho
        slope_v = torch.addcmul(towards[1], v, moved[2], value=-1) * per_z
        squared = torch.addcmul(slope_u * slope_u, slope_v, slope_v)  # (p, h, w)
        change = torch.addcmul(slope_u * by_u, slope_v, by_v)
        seen = is_seen * change
        sums = torch.stack(((seen * difference).sum(dim=0), (seen * change).sum(dim=0)))
        mismatch, curvature = window_means(sums)
        curvature = curvature + _RIDGE * (is_seen * squared).sum(dim=0)
        step = mismatch / curvature.clamp_min(1e-9)
        most = _MOST_PX * squared.amax(dim=0).clamp_min(1e-9).rsqrt()
        rho = (rho - torch.maximum(torch.minimum(step, most), -most)).clamp_min(0)
    # Poses know no other unit than that of flow, which may be too short everywhere.
    product = (depth.certainty * depth.inverse_depth * rho).sum()
    unit = product / (depth.certainty * rho.square()).sum().clamp_min(1e-9)
    return DepthMap(unit * rho, depth.certainty)
