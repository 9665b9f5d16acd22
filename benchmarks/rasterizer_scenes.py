"""The scenes on which rasterisers are timed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

HEIGHT, WIDTH = 288, 512
GRID = (144, 256)
NUM_GAUSSIANS = 2 * GRID[0] * GRID[1]
KINDS = ("target", "trained-like", "init-like")
Scene = dict[str, Any]


def make_scene(kind: str, num_times: int, generator: torch.Generator) -> Scene:
    """Draw one scene.

    Args:
        kind: ``"target"``: Gaussians of 1.5 to 3 pixels anywhere; ``"trained-like"``: two pixel
            grids, small scales, opaque, smooth depth; ``"init-like"``: the same grids as an
            untrained network gives them, every Gaussian some 18 by 10 pixels large.
        num_times: Number of times, evenly from 0 to 1.
        generator: Source of randomness.
    """
    n = NUM_GAUSSIANS

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    if kind == "target":
        means = torch.stack([uniform(n, low=-1), uniform(n), uniform(n, low=-1)], dim=-1)
        pixels = uniform(n, 3, low=1.5, high=3.0)
        scales = pixels * torch.tensor([2 / WIDTH, 1 / WIDTH + 1 / HEIGHT, 2 / HEIGHT])
        opacities = uniform(n, low=0.3)
    else:
        means = _grid_means(generator)
        if kind == "trained-like":
            scales, opacities = uniform(n, 3, low=0.003, high=0.012), uniform(n, low=0.3)
        else:
            noise = 0.3 * torch.randn(n, 3, generator=generator)
            scales = 0.1 * torch.nn.functional.softplus(noise)
            opacities = torch.full((n,), 0.5)
    motion_size = torch.tensor([0.02, 0.005, 0.02])
    scene = {
        "means": means,
        "motion": motion_size * torch.randn(n, 1, 3, generator=generator),
        "scales": scales,
        "quats": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        "colors": uniform(n, 3),
        "opacities": opacities,
        "opacity_slopes": uniform(n, high=4.0),
        "opacity_half_lives": uniform(n, low=0.3, high=0.7),
        "anchor_times": torch.arange(2).repeat_interleave(n // 2).float(),
        "times": torch.linspace(0, 1, num_times) if num_times > 1 else torch.tensor([0.5]),
    }
    batch = {name: value[None] for name, value in scene.items()}
    return {**batch, "backgrounds": torch.full((3,), 0.5)}


def _grid_means(generator: torch.Generator) -> Tensor:
    """Return the pixel centres of two key frames over a smooth, noisy inverse depth."""
    z, x = torch.meshgrid(
        1 - (2 * torch.arange(GRID[0]) + 1) / GRID[0],
        (2 * torch.arange(GRID[1]) + 1) / GRID[1] - 1,
        indexing="ij",
    )
    inverse_depth = 0.5 + 0.3 * torch.sin(3 * x) * torch.cos(2 * z)
    frames = torch.stack([x, inverse_depth, z], dim=-1).reshape(-1, 3).repeat(2, 1)
    frames[:, 1] += 0.01 * torch.randn(len(frames), generator=generator)
    return frames


def make_batch(kind: str, num_scenes: int, num_times: int, device: str) -> Scene:
    """Draw several scenes of one kind; see :func:`make_scene`."""
    generator = torch.Generator().manual_seed(0)
    scenes = [make_scene(kind, num_times, generator) for _ in range(num_scenes)]
    batch = {name: torch.cat([scene[name] for scene in scenes]) for name in scenes[0]}
    batch["backgrounds"] = scenes[0]["backgrounds"]
    return {name: value.to(device) for name, value in batch.items()}
