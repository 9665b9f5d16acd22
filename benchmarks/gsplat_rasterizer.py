"""Another renderer of the same scenes: gsplat's orthographic camera, all images in one call."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from diff_gaussian_rasterization_orth import Rasterization
from rasterizer_scenes import HEIGHT, WIDTH, Scene


def unavailable_reason() -> str | None:
    """Say why it cannot be used, or None."""
    try:
        importlib.import_module("gsplat")
    except ImportError as error:
        return f"{error}; pip install gsplat==1.5.3"
    return None


def render(scene: Scene) -> Rasterization:
    """Render all scenes at all their times; scenes do not rotate.

    What the package does in its kernels, motion, opacity windows and depth, is done here in
    PyTorch, as a user of gsplat would.
    """
    rasterization: Any = importlib.import_module("gsplat").rasterization
    size = scene["times"].shape
    elapsed = scene["times"][:, :, None] - scene["anchor_times"][:, None]  # (b, t, n)
    degree = scene["motion"].shape[2]
    powers = torch.stack([elapsed**k for k in range(1, degree + 1)], -1)  # (b, t, n, k)
    moved = scene["means"][:, None] + torch.einsum("btnk,bnkx->btnx", powers, scene["motion"])
    x, inverse_depth, z = moved.unbind(-1)
    inside = (inverse_depth >= 0) & (inverse_depth <= 1)
    depth = 1 / (inverse_depth * (10 - 0.2) + 0.2 + 1e-6)
    slope, half_life = scene["opacity_slopes"][:, None], scene["opacity_half_lives"][:, None]
    window = torch.sigmoid(-slope * (elapsed.abs() - half_life)) / torch.sigmoid(slope * half_life)
    opacities = scene["opacities"][:, None] * window * inside

    def at_all_times(value: torch.Tensor) -> torch.Tensor:
        return value[:, None].expand(-1, size[1], *value.shape[1:])

    view = torch.eye(4, device=x.device).expand(*size, 1, 4, 4)
    focal = x.new_tensor(
        [[WIDTH / 2, 0, WIDTH / 2], [0, HEIGHT / 2, HEIGHT / 2], [0, 0, 1]]
    ).expand(*size, 1, 3, 3)
    colors, alphas, _ = rasterization(
        means=torch.stack([x, -z, depth], -1),
        quats=at_all_times(scene["quats"]),
        scales=at_all_times(scene["scales"][..., [0, 2, 1]]),
        opacities=opacities,
        colors=at_all_times(scene["colors"]),
        viewmats=view,
        Ks=focal,
        width=WIDTH,
        height=HEIGHT,
        packed=False,
        render_mode="RGB+D",
        backgrounds=scene["backgrounds"].expand(*size, 1, 3),
        camera_model="ortho",
    )
    images = colors[:, :, 0].movedim(-1, 2)  # (b, t, 4, h, w)
    return Rasterization(images[:, :, :3], images[:, :, 3:], alphas[:, :, 0].movedim(-1, 2))
