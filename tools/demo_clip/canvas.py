"""The canvas on which the demo scene is painted, and the strokes that all painters share.

Every picture is a float RGBA array with colours in [0, 1] that reach beyond the opaque part, so
that edges blend without fringes. Canvases cover [-REACH, REACH] in x and the same share of the
image's height in y, in view coordinates (half the image's width is 1, y downwards).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float

from core.data.randomness.spectral import spectral_fields

REACH = 1.3
"""How far canvases reach beyond the image, as a factor."""
ASPECT = 0.5625
"""Height of the image divided by its width."""
DENSITY = 420
"""Texels for each unit of view coordinates."""

Picture = Float[np.ndarray, "h w 4"]
Plane = Float[np.ndarray, "h w"]

SUN = (0.42, 0.02)
"""View coordinates of the sun."""
GLOW = np.array([1.0, 0.80, 0.52])
"""Colour of the air near the sun."""


def canvas_grid() -> tuple[Plane, Plane]:
    """Return the view coordinates x and y of a canvas's texels."""
    width, height = (2 * round(REACH * DENSITY * side / 2) * 2 for side in (1.0, ASPECT))
    x = REACH * ((2 * np.arange(width, dtype=np.float32) + 1) / width - 1)
    y = REACH * ASPECT * ((2 * np.arange(height, dtype=np.float32) + 1) / height - 1)
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))


def noise(seed: int, shape: tuple[int, int], exponent: float) -> Plane:
    """Return a periodic field of unit deviation and power ``f**-exponent``."""
    keys, exponents = torch.tensor([seed], dtype=torch.int32), torch.tensor([[exponent]])
    return spectral_fields(keys, exponents, torch.tensor([0.3]), *shape)[0, 0].numpy()


def smooth_step(low: float, high: float, value: Plane) -> Plane:
    """Rise from 0 at ``low`` to 1 at ``high`` (or fall, where ``high`` is the smaller)."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def blend(weight: Plane, first: np.ndarray, second: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """Mix two colours or pictures; weight 1 is the second."""
    weight = weight[..., None]
    return first * (1.0 - weight) + second * weight


def with_opacity(color: np.ndarray, opacity: Plane) -> Picture:
    """Join colours, which are clipped to [0, 1], and opacity into a picture."""
    rgb = np.clip(color, 0.0, 1.0)
    return np.concatenate([rgb, opacity[..., None]], axis=-1).astype(np.float32)


def below_edge(edge: Plane, y: Plane) -> Plane:
    """Return the opacity of what lies below an edge, a texel soft."""
    return np.clip((y - edge) * DENSITY + 0.5, 0.0, 1.0)


def skyline(seed: int, x: Plane, roughness: float) -> Plane:
    """Return a fractal line over x, in [-1, 1]; harmonic ``k`` has amplitude k**-roughness."""
    rng = np.random.default_rng(seed)
    line = np.zeros_like(x[0])
    for k in range(1, 60):
        amplitude = rng.normal() * k**-roughness
        line += amplitude * np.sin(1.2 * k * x[0] + rng.uniform(0.0, 2.0 * np.pi))
    return np.broadcast_to(line / np.abs(line).max(), x.shape)


def ellipse(
    picture: Picture, center: tuple[float, float], axes: tuple[float, float], color: np.ndarray
) -> None:
    """Paint an opaque ellipse over a picture; lengths are in texels."""
    fixed = [round(16.0 * value) for value in (*center, *axes)]
    cv2.ellipse(
        picture, (fixed[0], fixed[1]), (max(fixed[2], 1), max(fixed[3], 1)), 0.0, 0.0, 360.0,
        [*(float(c) for c in color), 1.0], -1, cv2.LINE_AA, 4,
    )  # fmt: skip
