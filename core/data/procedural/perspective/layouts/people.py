"""People, as upright outlines, who may walk."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.procedural.appearance.palettes import SceneColors
from core.data.procedural.appearance.silhouettes import OUTLINES, figure
from core.data.procedural.perspective.quads import Placement, Quads, billboards
from core.data.procedural.perspective.surfaces import Finish, draw_surfaces
from core.data.procedural.perspective.texture_bank import OUTLINE_VARIANTS
from core.data.procedural.perspective.world import MovableBodies
from core.data.randomness.scene_random import SceneRandom

_CLOTHES = Finish([2, 2, 3, 2, 1, 0.2, 0.7, 0.5, 0.3], (0.5, 3.0), (0.3, 1.0), roundness=(0.5, 2.5))


def draw_people(
    rng: SceneRandom,
    scene_colors: SceneColors,
    positions: Float[Tensor, "b n 3"],
    share: float,
    first_body: int = 1,
) -> tuple[Quads, MovableBodies]:
    """Draw people at positions on the ground, who face the camera; each is a body of its own.

    Args:
        rng: Random generator of the scenes.
        scene_colors: Common colours.
        positions: Where they stand, on the ground.
        share: How likely each of them is there.
        first_body: Number of the first one's body.
    """
    n = positions.shape[1]
    kinds = (rng.uniform(0.0, OUTLINE_VARIANTS - 1e-3, n)).long()
    kinds = OUTLINES.index(figure) * OUTLINE_VARIANTS + kinds
    distance = positions[..., ::2].norm(dim=-1)
    # A figure fills three quarters of its outline's span.
    span = rng.uniform(1.45, 1.95, n) / 0.72
    yaw = torch.atan2(positions[..., 0], positions[..., 2])
    present = rng.bernoulli(share, n) & (distance > 1.3)
    placement = Placement(positions, yaw, torch.stack([span, span, span], dim=-1), present)
    bodies = torch.arange(first_body, first_body + n).expand(len(positions), n)
    surfaces = draw_surfaces(rng, scene_colors, _CLOTHES, n)
    quads = billboards(kinds, placement, surfaces, bodies)
    angle = rng.uniform(-math.pi, math.pi, n)
    headings = torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()], dim=-1)
    return quads, MovableBodies(positions, headings, present)
