"""How the camera is held."""

from __future__ import annotations

import math

import torch

from core.data.procedural.perspective.world import Viewpoint
from core.data.randomness.scene_random import SceneRandom


def draw_viewpoint(
    rng: SceneRandom, *, heights: tuple[float, float], low: float, pitch: tuple[float, float]
) -> Viewpoint:
    """Draw fields of view from 35 to 85 degrees, heights, pitches and rolls.

    Args:
        rng: Random generator of the scenes.
        heights: Range of the usual heights in metres; others go down to 0.3 m and up to 2.5 m.
        low: Share of the heights outside of that range.
        pitch: Mean and deviation, upwards, of the pitch in radians, kept in -30 to 25 degrees.
    """
    view = rng.uniform(math.radians(35.0), math.radians(85.0))
    unusual = rng.bernoulli(low)
    height = torch.where(unusual, rng.uniform(0.3, 2.5), rng.uniform(*heights))
    bell = rng.uniform(-1.0, 1.0, 3).sum(dim=-1)  # of deviation 1
    up = (pitch[0] + pitch[1] * bell).clamp(math.radians(-30.0), math.radians(25.0))
    roll = math.radians(8.0) * rng.uniform(-1.0, 1.0) ** 3
    return Viewpoint(
        focal=1.0 / (0.5 * view).tan(),
        height=height,
        tilt=torch.stack([torch.zeros_like(up), -up, roll], dim=-1),
    )
