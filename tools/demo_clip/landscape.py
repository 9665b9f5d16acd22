"""Sky, mountains and hills of the demo scene."""

from __future__ import annotations

import cv2
import numpy as np

from tools.demo_clip.canvas import (
    ASPECT,
    DENSITY,
    GLOW,
    REACH,
    SUN,
    Picture,
    below_edge,
    blend,
    canvas_grid,
    ellipse,
    noise,
    skyline,
    smooth_step,
    with_opacity,
)


def sky() -> Picture:
    """Paint a sunset: blue above, gold at the horizon, streaks of cloud lit from below."""
    x, y = canvas_grid()
    stops = np.array([-0.75, -0.45, -0.2, -0.03, 0.1])
    colors = np.array(
        [[0.16, 0.25, 0.47], [0.33, 0.38, 0.60], [0.72, 0.55, 0.62], [0.98, 0.72, 0.52],
         [1.0, 0.83, 0.58]]
    )  # fmt: skip
    color = np.stack([np.interp(y, stops, colors[:, c]) for c in range(3)], axis=-1)
    distance = np.hypot(x - SUN[0], 1.3 * (y - SUN[1]))
    halo = 0.75 * np.exp(-distance / 0.16) + 0.25 * np.exp(-distance / 0.6)
    color = blend(np.clip(halo, 0.0, 1.0), color, np.array([1.0, 0.89, 0.66]))
    disc = smooth_step(0.052, 0.046, np.hypot(x - SUN[0], y - SUN[1]))
    color = blend(disc, color, np.array([1.0, 0.985, 0.93]))

    height, width = x.shape
    # Fields are stretched sideways: streaks are what clouds look like near the horizon.
    shape = noise(11, (512, 512), 2.9)
    wide = cv2.resize(shape, (3 * width, height), interpolation=cv2.INTER_CUBIC)[:, :width]
    fine = cv2.resize(noise(12, (512, 512), 2.2), (2 * width, height))[:, :width]
    density = wide + 0.22 * fine + 0.7 * np.exp(-(((y + 0.3) / 0.16) ** 2)) - 0.75
    cover = smooth_step(0.0, 1.5, density) * smooth_step(0.06, -0.12, y)
    near_sun = np.exp(-distance / 0.5)
    lit = blend(near_sun, np.array([0.93, 0.62, 0.60]), np.array([1.0, 0.86, 0.62]))
    body = blend(smooth_step(0.5, 2.2, density), lit, np.array([0.52, 0.43, 0.58]))
    color = blend(0.85 * cover, color, body)
    return with_opacity(color, np.ones_like(x))


def mountains(seed: int, top: float, height: float, shadow: np.ndarray, lit: np.ndarray) -> Picture:
    """Paint a rocky range, lit from the sun's side, whose foot is lost in haze."""
    x, y = canvas_grid()
    line = skyline(seed, x, 1.15)
    edge = top - height * (0.65 - np.abs(line))
    rock = noise(seed, x.shape, 2.4)
    crags = cv2.GaussianBlur(rock, (0, 0), 2.0)
    toward_sun = np.tanh((SUN[0] - x) / 0.25)
    side = smooth_step(-0.22, 0.22, -np.gradient(crags, axis=1) * toward_sun + 0.06)
    color = blend(side, shadow, lit) * (1.0 + 0.05 * rock[..., None])
    snow = smooth_step(0.12, 0.0, (y - edge) / height * 0.4 + 0.03 * rock)
    color = blend(0.5 * snow, color, np.array([0.98, 0.90, 0.86]))
    haze = smooth_step(top - 0.6 * height, top + 0.35 * height, y)
    air = blend(np.exp(-np.abs(x - SUN[0]) / 0.7), np.array([0.83, 0.66, 0.66]), GLOW)
    color = blend(0.85 * haze, color, air)
    return with_opacity(color, below_edge(edge, y))


def hills(
    seed: int, top: float, height: float, near: np.ndarray, haze: float, tree: float, count: int
) -> Picture:
    """Paint rolling country: fields in patches, hedges and woods of round trees.

    Args:
        seed: Chooses everything.
        top: View coordinate around which the crest runs.
        height: How far it rises and falls.
        near: Colour of the grass.
        haze: Share of warm air before it, at the crest.
        tree: Radius of the trees in view coordinates.
        count: Number of trees.
    """
    x, y = canvas_grid()
    edge = top + height * skyline(seed, x, 1.7)
    below = np.maximum(y - edge, 0.0)
    shape = x.shape
    patches = cv2.resize(noise(seed, (512, 512), 3.0), (shape[1], 2 * shape[0]))[: shape[0]]
    grass = noise(seed + 1, shape, 1.9)
    tone = np.tanh(4.0 * patches) * 0.5 + 0.5
    color = blend(tone, near * np.array([0.78, 0.82, 0.75]), near * np.array([1.22, 1.12, 0.85]))
    rows = np.sin((x * (9.0 + 5.0 * np.sign(patches)) + 3.0 * below / (0.05 + below)) * 22.0)
    color = color * (1.0 + 0.05 * rows * smooth_step(0.2, 0.5, np.abs(patches)))[..., None]
    color = color * (1.0 + 0.13 * grass[..., None])
    color = color * (1.08 - 0.9 * np.minimum(below, 0.45))[..., None]
    rim = np.exp(-below / 0.012) * np.exp(-np.abs(x - SUN[0]) / 0.6)
    color = blend(0.55 * rim, color, GLOW)
    picture = with_opacity(color, below_edge(edge, y))
    _plant_trees(picture, seed, edge[0], near, tree, count)
    air = blend(np.exp(-np.abs(x - SUN[0]) / 0.8), np.array([0.78, 0.64, 0.66]), GLOW)
    veil = haze * np.exp(-np.maximum(y - top, 0.0) / 0.18)
    picture[..., :3] = blend(veil, picture[..., :3], air)
    return picture


def _plant_trees(
    picture: Picture, seed: int, crest: np.ndarray, near: np.ndarray, radius: float, count: int
) -> None:
    rng = np.random.default_rng(seed + 7)
    width = picture.shape[1]
    woods = noise(seed + 3, (256, 256), 3.2)
    spots: list[tuple[float, int]] = []
    while len(spots) < count:
        column, depth = rng.integers(width), rng.exponential(0.07)
        inside = woods[int(depth * 600) % 256, column * 256 // width]
        if inside > 0.3 - 0.5 * (depth < 0.004):
            spots.append((float(depth), int(column)))
    for depth, column in sorted(spots):
        size = radius * DENSITY * (0.7 + 0.6 * rng.random()) * (1.0 + 2.5 * depth)
        row = (crest[column] + depth + REACH * ASPECT) * DENSITY - 0.5 * size
        dark = near * np.array([0.36, 0.45, 0.38]) * rng.uniform(0.8, 1.2)
        toward = 1.0 if (SUN[0] + REACH) * DENSITY > column else -1.0
        clumps = rng.normal(0.0, 0.42, (9, 2)) * np.array([1.0, 0.8])
        facing = clumps @ np.array([toward, -0.8])
        for rank in np.argsort(facing):
            lit = np.clip(0.45 + 0.5 * facing[rank], 0.0, 1.0) ** 2
            shade = dark * (0.75 + 0.5 * lit) + 0.2 * lit * GLOW
            center = column + clumps[rank, 0] * size, row + clumps[rank, 1] * size
            axes = 0.45 * size, 0.4 * size
            ellipse(picture, center, axes, shade.clip(0.0, 1.0))
