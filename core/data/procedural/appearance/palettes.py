"""Colours of a scene and palettes of its materials."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass

_SCHEMES = torch.tensor(
    [
        [0.0, 0.03, -0.04, 0.08],
        [0.0, 0.5, 0.04, 0.53],
        [0.0, 0.33, 0.67, 0.05],
        [0.0, 0.42, 0.58, -0.05],
        [0.0, 0.25, 0.1, 0.5],
    ]
)
"""Hue offsets: analogous, complementary, triadic, split complementary, free."""


@dataclass(frozen=True)
class SceneColors(TensorDataclass):
    """What the colours of a scene have in common."""

    hues: Float[Tensor, "b 4"]
    """Four hues in turns."""
    saturation: Float[Tensor, " b"]
    """Largest saturation, in [0, 1]."""
    sky: Float[Tensor, "b 2 3"]
    """RGB at the zenith and at the horizon; the latter is also the colour of haze."""


def rgb_from_hsv(hsv: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Convert hue (in turns, any number), saturation and value in [0, 1] to RGB."""
    hue, saturation, value = hsv.unbind(-1)
    offsets = torch.tensor([5.0, 3.0, 1.0], device=hsv.device)
    k = (offsets + 6.0 * hue[..., None]) % 6.0
    ramp = torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)
    return value[..., None] * (1.0 - saturation[..., None] * ramp)


def draw_scene_colors(rng: SceneRandom) -> SceneColors:
    """Draw the common colours of each scene."""
    scheme = _SCHEMES[rng.choose([4.0, 2.0, 1.0, 1.5, 1.5])]  # (b, 4)
    hues = rng.uniform(0.0, 1.0, 1) + scheme
    saturation = 0.08 + 0.85 * rng.uniform(0.0, 1.0) ** 1.3
    # Skies are blue by day, warm in the evening, grey now and then.
    evening, grey = rng.bernoulli(0.3), rng.bernoulli(0.3)
    zenith = torch.stack(
        [
            rng.uniform(0.55, 0.66),
            rng.uniform(0.25, 0.75) * torch.where(grey, 0.25, 1.0),
            rng.uniform(0.35, 0.95),
        ],
        dim=-1,
    )
    low_hue = torch.where(evening, rng.uniform(-0.02, 0.13), zenith[:, 0] + 0.0)
    low_saturation = torch.where(evening, rng.uniform(0.25, 0.75), rng.uniform(0.05, 0.3))
    horizon = torch.stack(
        [low_hue, low_saturation * torch.where(grey, 0.3, 1.0), rng.uniform(0.7, 1.0)], dim=-1
    )
    return SceneColors(hues, saturation, rgb_from_hsv(torch.stack([zenith, horizon], dim=1)))


def draw_palettes(
    rng: SceneRandom, scene_colors: SceneColors, count: int
) -> Float[Tensor, "b count 4 3"]:
    """Draw base, dark, light and accent colour of ``count`` materials of each scene."""
    pick = rng.choose([4.0, 3.0, 2.0, 1.0], count)  # (b, count)
    hue = scene_colors.hues.gather(1, pick) + rng.uniform(-0.03, 0.03, count)
    accent_hue = scene_colors.hues.gather(1, rng.choose([1.0, 1.0, 1.0, 1.0], count))
    ceiling = scene_colors.saturation[:, None]
    saturation = ceiling * rng.uniform(0.15, 1.0, count)
    value = rng.uniform(0.12, 0.95, count)
    dark = value * rng.uniform(0.35, 0.8, count)
    light = value + (1.0 - value) * rng.uniform(0.25, 0.8, count)
    accent = rng.uniform(0.1, 1.0, count)
    hsv = torch.stack(
        [
            torch.stack([hue, saturation, value], dim=-1),
            torch.stack([hue + 0.03, (saturation * 1.15).clamp(max=1.0), dark], dim=-1),
            torch.stack([hue - 0.02, saturation * 0.6, light], dim=-1),
            torch.stack([accent_hue, ceiling * rng.uniform(0.3, 1.0, count), accent], dim=-1),
        ],
        dim=2,
    )
    return rgb_from_hsv(hsv)
