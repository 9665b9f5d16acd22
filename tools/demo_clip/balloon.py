"""Hot-air balloons."""

from __future__ import annotations

import cv2
import numpy as np

from tools.demo_clip.canvas import (
    GLOW,
    Picture,
    blend,
    smooth_step,
    with_opacity,
)


def balloon(side: int, colors: list[tuple[float, float, float]], gores: int, band: int) -> Picture:
    """Paint a hot-air balloon: envelope of coloured gores, ropes and basket.

    Args:
        side: Texels along each side; the balloon fills the height.
        colors: The gores' colours in turn; the last one is that of the band.
        gores: Number of gores around the whole envelope.
        band: 0 leaves the gores plain, 1 lays a zigzag around them, 2 a chequered belt.
    """
    n = 3 * side  # painted three times as large, for smooth edges
    x, y = np.meshgrid(*[((2 * np.arange(n) + 1) / n - 1).astype(np.float32)] * 2)
    # The envelope: a sphere of radius 0.62 about (0, -0.34), drawn out to the mouth at 0.55.
    down = (y + 0.34) / 0.62
    sphere = np.sqrt(np.clip(1.0 - down**2, 0.0, 1.0))
    cone = np.clip(1.0 - 0.98 * (down - 0.5), 0.0, 1.0) * 0.87
    taper = smooth_step(0.35, 0.75, down)
    half = 0.62 * np.where(down < 0.35, sphere, (1.0 - taper) * sphere + taper * cone)
    half = np.where((down > -1.0) & (y < 0.56), half, 0.0)
    across = np.clip(x / np.maximum(half, 1e-3), -1.0, 1.0)
    longitude = np.arcsin(across) / np.pi * gores / 2.0 + 0.25
    index = np.floor(longitude).astype(int)
    table = np.array(colors)
    color = table[index % (len(colors) - 1)]
    within = np.abs(longitude - index - 0.5) * 2.0
    if band == 1:
        zigzag = np.abs(down - 0.05 - 0.16 * (within - 0.5)) < 0.13
        color = np.where(zigzag[..., None], table[-1], color)
    elif band == 2:
        row = np.floor((down + 0.08) / 0.1)
        belt = (row >= 0) & (row < 3) & ((row + index) % 2 == 0)
        color = np.where(belt[..., None], table[-1], color)
    normal_z = np.sqrt(np.clip(1.0 - across**2, 0.0, 1.0))
    light = 0.62 * across - 0.28 * np.clip(down, -1.0, 1.0) + 0.55 * normal_z
    puff = 1.0 - 0.28 * smooth_step(0.72, 1.0, within)
    through = 0.16 * smooth_step(0.0, 0.9, down)  # the burner's light shines through the cloth
    shade = (0.46 + 0.62 * np.clip(light, 0.0, None) + through) * puff
    color = color * shade[..., None] * np.array([1.06, 0.98, 0.90])
    color = blend(0.5 * np.exp(-(1.0 - across) / 0.07), color, GLOW)
    opacity = (np.abs(x) < half).astype(np.float32)
    picture = with_opacity(color, opacity)
    _hang_basket(picture)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def _hang_basket(picture: Picture) -> None:
    n = picture.shape[0]

    def at(x: float, y: float) -> tuple[int, int]:
        return int((x + 1) * n / 2), int((y + 1) * n / 2)

    rope = (0.22, 0.16, 0.14, 1.0)
    for x in (-1.0, -0.4, 0.4, 1.0):
        cv2.line(picture, at(0.1 * x, 0.54), at(0.075 * x, 0.82), rope, max(n // 160, 1))
    cv2.rectangle(picture, at(-0.088, 0.80), at(0.088, 0.96), (0.36, 0.22, 0.13, 1.0), -1)
    for step in range(5):
        y = 0.815 + 0.034 * step
        cv2.line(picture, at(-0.085, y), at(0.085, y), (0.52, 0.34, 0.19, 1.0), max(n // 130, 1))
    cv2.rectangle(picture, at(-0.10, 0.785), at(0.10, 0.81), (0.24, 0.15, 0.1, 1.0), -1)
    for x in (-0.045, 0.03):
        cv2.circle(picture, at(x, 0.735), n // 60, (0.18, 0.12, 0.12, 1.0), -1)
        cv2.rectangle(picture, at(x - 0.025, 0.75), at(x + 0.025, 0.79), (0.2, 0.16, 0.24, 1), -1)
