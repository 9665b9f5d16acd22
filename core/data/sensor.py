"""Sensor model: blur, vignette, noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from core.data.randomness.hashing import hash_int32, unit_pair
from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass


@dataclass(frozen=True)
class Sensor(TensorDataclass):
    """One camera for each of ``b`` scenes."""

    blur: Float[Tensor, " b"]
    """Weight of each neighbour in a three-tap blur along both axes, in [0, 1/3]."""
    noise: Float[Tensor, " b"]
    """Standard deviation of the noise, independent in pixels, channels and views."""
    vignette: Float[Tensor, " b"]
    """Share of the light that is lost in the corners."""
    keys: Int[Tensor, " b"]
    """Keys of the noise."""


def draw_sensor(rng: SceneRandom, blur: float, noise: float) -> Sensor:
    """Draw cameras with up to these values of :class:`Sensor`."""
    return Sensor(
        blur=blur * rng.uniform(0.0, 1.0),
        noise=noise * rng.uniform(0.0, 1.0) ** 2,
        vignette=rng.uniform(0.0, 0.35) * rng.bernoulli(0.4),
        keys=rng.keys(),
    )


def expose(
    sensor: Sensor, light: Float[Tensor, "b v 3 h w"], times: Float[Tensor, "b v"]
) -> Float[Tensor, "b v 3 h w"]:
    """Turn colours into frames in [0, 1].

    Args:
        sensor: The cameras.
        light: Sharp colours.
        times: Times of the views; views of one time carry the same noise.
    """
    frames = _blur(light, sensor.blur[:, None, None, None, None])
    height, width = frames.shape[-2:]
    x = torch.linspace(-1.0, 1.0, width, device=frames.device)
    y = torch.linspace(-1.0, 1.0, height, device=frames.device)
    radius = 0.5 * (x**2 + y[:, None] ** 2)
    frames = frames * (1.0 - sensor.vignette[:, None, None] * radius)[:, None, None]
    return (frames + _noise(sensor, times, height, width)).clamp_(0.0, 1.0)


def _blur(
    image: Float[Tensor, "b v 3 h w"], weight: Float[Tensor, "b 1 1 1 1"]
) -> Float[Tensor, "b v 3 h w"]:
    padded = F.pad(image.flatten(0, 1), (1, 1, 0, 0), mode="replicate").unflatten(
        0, image.shape[:2]
    )
    image = image.lerp(0.5 * (padded[..., :-2] + padded[..., 2:]), 2.0 * weight)
    padded = F.pad(image.flatten(0, 1), (0, 0, 1, 1), mode="replicate").unflatten(
        0, image.shape[:2]
    )
    return image.lerp(0.5 * (padded[..., :-2, :] + padded[..., 2:, :]), 2.0 * weight)


def _noise(
    sensor: Sensor, times: Float[Tensor, "b v"], height: int, width: int
) -> Float[Tensor, "b v 3 h w"]:
    # The sum of the four uniform numbers of two hashes is close to normal; its deviation is
    # sqrt(4 / 12). The colour channels share one luminance part, as in a demosaicked image.
    cells = torch.arange(height * width * 2, device=times.device, dtype=torch.int32)
    views = hash_int32((times * 65536.0).to(torch.int32) ^ sensor.keys[:, None])
    hashed = hash_int32(cells + views[..., None]).unflatten(-1, (2, height, width))
    first, second = unit_pair(hashed)
    a, b, c, d = first[:, :, 0], first[:, :, 1], second[:, :, 0], second[:, :, 1]
    shared = a + b + c + d - 2.0
    tints = torch.stack([shared + 1.5 * (a - b), shared, shared + 1.5 * (c - d)], dim=2)
    return tints * (sensor.noise * 1.732)[:, None, None, None, None]
