"""Grids of thin lines, drawn over pictures: few photographs show any.

They are what one Gaussian for 2 by 2 pixels finds hardest: a line of one pixel next to its ground.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.randomness.scene_random import SceneRandom

_WIDTH_WEIGHTS = (3.0, 2.0, 1.0)
"""How often lines are one, two and three pixels wide, of six."""
_CLOSEST, _FARTHEST = 3.0, 32.0
"""Distances from line to line, pixels."""
_STRAIGHT = 0.65
"""Share of the grids along rows and columns, whose edges lie between pixels."""
_CROSSING = 0.7
"""Share of the grids that have lines both ways."""
_OVER_PICTURES = 0.3
"""Share of the grids that lie over a picture, and not over one colour."""
_SECOND = 0.3
"""Share of them with another grid above."""


def draw_line_grids(
    rng: SceneRandom, pictures: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b 3 h w"]:
    """Return one or two grids of lines over one colour, or over a picture.

    Edges of grids that are turned cover their pixels in part, and are as smooth as that.

    Args:
        rng: Of as many samples.
        pictures: RGB in [0, 1], on any device.
    """
    device = pictures.device
    is_shown = rng.bernoulli(_OVER_PICTURES, 1, 1, 1).to(device)
    images = torch.where(is_shown, pictures, _color(rng, device))
    for share in (1.0, _SECOND):
        is_drawn = rng.bernoulli(share, 1, 1, 1).to(device)
        lines = _coverage(rng, (pictures.shape[-2], pictures.shape[-1]), device) * is_drawn
        images = torch.lerp(images, _color(rng, device).expand_as(images), lines)
    return images


def _color(rng: SceneRandom, device: torch.device) -> Float[Tensor, "b 3 1 1"]:
    return rng.uniform(0.0, 1.0, 3, 1, 1).to(device)


def _coverage(
    rng: SceneRandom, size: tuple[int, int], device: torch.device
) -> Float[Tensor, "b 1 h w"]:
    """Return how far lines of a grid cover the pixels."""
    is_straight = rng.bernoulli(_STRAIGHT)
    thickness = 1.0 + rng.choose(_WIDTH_WEIGHTS)
    distance = rng.log_uniform(_CLOSEST, _FARTHEST).clamp_min(thickness + 2.0)
    distance = torch.where(is_straight, distance.round(), distance)
    starts = distance[:, None] * rng.uniform(0.0, 1.0, 2)
    starts = torch.where(is_straight[:, None], starts.floor(), starts)
    angle = torch.where(is_straight, 0.0, rng.uniform(0.0, math.pi))
    # One way and the other: most grids have both.
    is_left_out = torch.arange(2) == rng.choose((1.0, 1.0))[:, None]
    is_left_out &= ~rng.bernoulli(_CROSSING)[:, None]
    values = torch.stack((thickness, distance, angle.cos(), angle.sin()), dim=1)
    values = torch.cat((values, starts, is_left_out.float()), dim=1).to(device)
    values = values[:, :, None, None, None]  # (b, 8, 1, 1, 1)
    thickness, distance, cos, sin = values[:, :4].unbind(1)
    y, x = (torch.arange(side, device=device) + 0.5 for side in size)
    y = y[:, None]
    along = torch.cat((cos * x + sin * y, cos * y - sin * x), dim=1)  # (b, 2, h, w)
    starts, is_left_out = values[:, 4:6, 0], values[:, 6:, 0]
    half = thickness / 2
    off = (along - starts - half + distance / 2).remainder(distance) - distance / 2
    covered = (half + 0.5 - off.abs()).clamp(0, 1) * (1 - is_left_out)
    return covered.amax(dim=1, keepdim=True)
