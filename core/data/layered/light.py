"""Changes of the light, or of the camera's exposure and white balance, within a clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass


@dataclass(frozen=True)
class Light(TensorDataclass):
    """``gain * color**gamma + offset``, for ``b`` samples of ``v`` views."""

    gain: Float[Tensor, "b v 3"]
    """Of each channel."""
    gamma: Float[Tensor, "b v"]
    """1 changes nothing."""
    offset: Float[Tensor, "b v"]
    """Added to all channels."""


def draw_light(rng: SceneRandom, times: Float[Tensor, "b v"], strength: float) -> Light:
    """Draw how the light changes; in half of the samples it stays.

    Args:
        rng: Source of randomness.
        times: Times of the views, in [0, 1].
        strength: Largest relative change within a clip.
    """
    change = strength * rng.bernoulli(0.5)[:, None]  # (b, 1)
    along = 2.0 * times - 1.0  # the change at either end is half of that between them
    brightness, contrast, gamma = rng.uniform(-0.5, 0.5, 3).split(1, dim=1)
    tint = 0.3 * rng.uniform(-0.5, 0.5, 3)
    scale = torch.exp(change * along * contrast)
    gains = (change * along)[..., None] * (brightness + tint)[:, None]
    return Light(
        gain=scale[..., None] * gains.exp(),
        gamma=torch.exp(change * along * gamma),
        offset=0.4 * (1.0 - scale),
    )


def illuminate(light: Light, colors: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "b v 3 h w"]:
    """Return colours, which are in [0, 1], as they appear in that light."""
    gain, gamma = light.gain[..., None, None], light.gamma[..., None, None, None]
    return colors.clamp(1e-4, 1.0).pow_(gamma).mul_(gain).add_(light.offset[..., None, None, None])
