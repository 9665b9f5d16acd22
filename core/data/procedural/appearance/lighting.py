"""Light, haze and tone, common to the layers of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.procedural.appearance.palettes import SceneColors
from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass


@dataclass(frozen=True)
class Lighting(TensorDataclass):
    """The light of each of ``n`` surfaces or scenes."""

    direction: Float[Tensor, "n 3"]
    """Unit vector towards the light: right, down, towards the viewer."""
    falloff: Float[Tensor, "n 2"]
    """Change of the logarithm of brightness per unit of view coordinates."""
    haze_color: Float[Tensor, "n 3"]
    """RGB of the air."""
    haze: Float[Tensor, " n"]
    """Share of the air's colour at infinity."""
    exposure: Float[Tensor, " n"]
    """Factor on all colours."""
    contrast: Float[Tensor, " n"]
    """Factor on all differences from mid grey."""

    def repeat(self, count: int) -> Lighting:
        """Give each of ``count`` surfaces of a scene that scene's light."""
        return self.map(lambda value: value.repeat_interleave(count, dim=0))


def draw_lighting(rng: SceneRandom, scene_colors: SceneColors) -> Lighting:
    """Draw the light of each scene: mostly from above, sometimes dim, flat or hazy."""
    side, height = rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 0.15)
    direction = torch.stack([side, height, rng.uniform(0.4, 1.2)], dim=-1)
    dim, flat = rng.bernoulli(0.15), rng.bernoulli(0.15)
    return Lighting(
        direction=direction / direction.norm(dim=-1, keepdim=True),
        falloff=rng.direction() * rng.uniform(0.0, 0.7)[:, None] ** 2,
        haze_color=scene_colors.sky[:, 1],
        haze=0.75 * rng.uniform(0.0, 1.0) ** 1.5,
        exposure=torch.where(dim, rng.uniform(0.25, 0.6), rng.uniform(0.8, 1.25)),
        contrast=torch.where(flat, rng.uniform(0.4, 0.8), rng.uniform(0.9, 1.4)),
    )


def light_up(
    color: Float[Tensor, "n 3 h w"],
    x: Float[Tensor, "*n h w"],
    y: Float[Tensor, "*n h w"],
    inverse_depth: Float[Tensor, "n h w"],
    lighting: Lighting,
) -> Float[Tensor, "n 3 h w"]:
    """Apply the falloff of the light, the air in between and the tone curve.

    Args:
        color: RGB of surfaces under even light.
        x: View coordinates in the reference view.
        y: See ``x``.
        inverse_depth: Inverse depth in the reference view; haze thickens as it falls below 0.3.
        lighting: One row for each surface.
    """
    falloff = lighting.falloff[..., None, None]
    color = color * torch.exp(falloff[:, 0] * x + falloff[:, 1] * y)[:, None]
    air = lighting.haze[:, None, None] * torch.exp(-inverse_depth.clamp(min=0.0) / 0.3)
    color = color.lerp(lighting.haze_color[..., None, None], air[:, None])
    contrast, exposure = (v[:, None, None, None] for v in (lighting.contrast, lighting.exposure))
    return tone(color, contrast, exposure)


def tone(
    color: Float[Tensor, "*shape"], contrast: Float[Tensor, "..."], exposure: Float[Tensor, "..."]
) -> Float[Tensor, "*shape"]:
    """Apply the tone curve; ``contrast`` and ``exposure`` broadcast to the colours."""
    color = ((color - 0.45) * contrast + 0.45) * exposure
    # A soft shoulder instead of a hard clip keeps highlights textured.
    return torch.where(color > 0.8, 0.8 + 0.2 * torch.tanh((color - 0.8) / 0.2), color).clamp(
        min=0.0
    )
