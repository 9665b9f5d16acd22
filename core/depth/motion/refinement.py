"""Matches moved to where the pictures agree, which takes off what flow that is led on adds up."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.camera import Camera
from core.depth.motion.matching import Matches, follow
from core.depth.motion.texture import Structure, window_means

_SURROUNDINGS = 9
"""Side of the window whose mean is taken off a picture, pixels: exposure may change."""
_RIDGE = 2.0
"""Mean squared gradient, (grey levels / pixel)^2, at which a match takes half of its step."""
_OUTLIER = 20.0
"""Difference in grey levels from which on a pixel counts little."""
_MOST_PX = 1.0
"""Farthest step; what is farther off is no small error of a flow."""


def without_surroundings(grey: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Return grey levels less the mean of what is around them."""
    reach = _SURROUNDINGS // 2
    around = F.pad(grey[None, None], (reach, reach, reach, reach), mode="replicate")
    rows = F.avg_pool2d(around, (_SURROUNDINGS, 1), 1)
    return grey - F.avg_pool2d(rows, (1, _SURROUNDINGS), 1)[0, 0]


def refine(
    matches: Matches,
    picture: Float[Tensor, "h w"],
    gradient: Float[Tensor, "2 h w"],
    texture: Structure,
    camera: Camera,
) -> Matches:
    """Return matches after one step towards equal grey levels (Lucas and Kanade 1981).

    Args:
        matches: Of a key frame, some tenths of a pixel off.
        picture: The key frame's grey levels, :func:`without_surroundings`.
        gradient: By (u, v), grey levels / pixel.
        texture: The structure tensor of that.
        camera: The camera of all.
    """
    differences = follow(matches.pictures[:, None], matches.flow, camera)[:, 0] - picture
    differences = differences / (1 + (differences / _OUTLIER).square())
    mismatch = window_means((gradient * differences[:, None]).flatten(0, 1))
    by_u, by_v = mismatch.unflatten(0, (-1, 2)).unbind(1)  # (p, h, w)
    xx, xy, yy = texture[0] + _RIDGE, texture[1], texture[2] + _RIDGE
    step = torch.stack((xy * by_v - yy * by_u, xy * by_u - xx * by_v), dim=1)
    step = (step / (xx * yy - xy * xy)).clamp(-_MOST_PX, _MOST_PX)
    return replace(matches, flow=matches.flow + step)
