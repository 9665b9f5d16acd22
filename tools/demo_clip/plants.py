"""A tree and a meadow against the light."""

from __future__ import annotations

import cv2
import numpy as np

from tools.demo_clip.canvas import (
    ASPECT,
    DENSITY,
    REACH,
    SUN,
    Picture,
    below_edge,
    canvas_grid,
    ellipse,
    skyline,
    with_opacity,
)

_BARK = (0.14, 0.10, 0.085, 1.0)
_PETALS = np.array([[0.86, 0.2, 0.16], [0.95, 0.78, 0.3], [0.93, 0.88, 0.86], [0.62, 0.45, 0.8]])


def tree(side: int, seed: int) -> Picture:
    """Paint a broad tree against the light, leaf by leaf; its foot is at the lower edge."""
    rng = np.random.default_rng(seed)
    n = 2 * side
    picture = np.zeros((n, n, 4), np.float32)
    picture[..., :3] = (0.13, 0.13, 0.09)
    start, up = np.array([0.5 * n, n]), np.array([0.05, -1.0])
    tips = _grow(picture, rng, start, up, 0.19 * n, 0.03 * n)
    for tip in tips:
        spread = np.clip(rng.normal(0.0, 1.0, (90, 2)), -1.7, 1.7) * 0.038 * n + tip
        order = np.argsort(spread @ np.array([0.7, -0.7]))
        for rank, (cx, cy) in enumerate(spread[order]):
            lit = (rank / len(order)) ** 2 * rng.uniform(0.3, 1.0)
            leaf = np.array([0.13, 0.19, 0.08]) * rng.uniform(0.6, 1.3)
            leaf = leaf + 0.55 * lit * np.array([0.95, 0.75, 0.26])
            size = n * rng.uniform(0.0035, 0.0075)
            ellipse(picture, (cx, cy), (size, 0.6 * size), leaf.clip(0.0, 1.0))
    return _settle(picture, side)


def _grow(
    picture: Picture,
    rng: np.random.Generator,
    start: np.ndarray,
    heading: np.ndarray,
    length: float,
    width: float,
) -> list[np.ndarray]:
    # Paints a branch and all that grows from it; returns where leaves hang.
    end = start + heading / np.linalg.norm(heading) * length
    (x0, y0), (x1, y1) = start.astype(int).tolist(), end.astype(int).tolist()
    cv2.line(picture, (x0, y0), (x1, y1), _BARK, max(int(width), 1), cv2.LINE_AA)
    if width < 0.0035 * picture.shape[0]:
        return [end]
    tips: list[np.ndarray] = [end] if width < 0.007 * picture.shape[0] else []
    for turn in rng.normal([-0.5, 0.02, 0.5], 0.14):
        c, s = np.cos(turn), np.sin(turn)
        turned = np.array([c * heading[0] - s * heading[1], s * heading[0] + c * heading[1]])
        turned[1] -= 0.08
        tips += _grow(picture, rng, end, turned, length * rng.uniform(0.62, 0.8), width * 0.6)
    return tips


def _settle(picture: Picture, side: int) -> Picture:
    # Colours are spread under the transparent part before the picture shrinks.
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(picture * picture[..., 3:], (side, side), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(weighted, (0, 0), 3.0)
    alpha = small[..., 3:]
    around = blurred[..., :3] / np.maximum(cv2.GaussianBlur(alpha, (0, 0), 3.0)[..., None], 1e-3)
    inside = weighted[..., :3] / np.maximum(alpha, 1e-3)
    color = np.where(alpha > 0.02, inside, around)
    return with_opacity(color, alpha[..., 0])


def meadow(seed: int, top: float) -> Picture:
    """Paint tall grass and flowers against the light along the lower edge."""
    rng = np.random.default_rng(seed)
    x, y = canvas_grid()
    height, width = x.shape
    base = np.array([0.13, 0.17, 0.07])
    picture = np.zeros((height, width, 4), np.float32)
    picture[..., :3] = base
    edge = top + 0.03 * skyline(seed, x, 1.6)
    picture[..., 3] = below_edge(edge + 0.05, y)
    for depth in np.sort(rng.uniform(0.0, 0.3, 4200)):
        column = rng.uniform(0, width)
        root = (edge[0, int(column)] + depth + 0.05 + REACH * ASPECT) * DENSITY
        length = DENSITY * rng.uniform(0.05, 0.14) * (1.0 + depth)
        lean = rng.normal(0.12, 0.22) * length
        t = np.linspace(0.0, 1.0, 9)[:, None]
        path = np.array([column, root]) + np.hstack([lean * t**2, -length * t])
        glow = rng.uniform(0.0, 1.0) ** 2 * np.exp(-abs(column / DENSITY - REACH - SUN[0]) / 0.9)
        shade = base * rng.uniform(0.7, 1.7) + 0.5 * glow * np.array([0.95, 0.74, 0.25])
        points = [np.round(16 * path).astype(np.int32)]
        width_px = 1 + int(rng.random() < 0.35)
        color = [*shade.clip(0.0, 1.0).tolist(), 1.0]
        cv2.polylines(picture, points, False, color, width_px, cv2.LINE_AA, 4)
        if rng.random() < 0.035:
            bloom = _PETALS[rng.integers(len(_PETALS))]
            size = rng.uniform(2.5, 4.5)
            tip = (float(path[-1, 0]), float(path[-1, 1]))
            ellipse(picture, tip, (size, 0.8 * size), bloom)
    return picture
