"""A scene to export; what reads it back is in benchmarks/export_readers.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from core.export.placement import Placement
from core.export.splats import Splats
from core.geometry.cameras import Lens
from core.types import DynamicGaussians

# Benchmarks import one another by their bare names.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def scene() -> DynamicGaussians:
    """Return what a network makes of a pair: a grid of Gaussians, twice, that move and fade.

    They are turned about the view axis, as well as a little about the others.
    """
    draw = torch.Generator().manual_seed(0)
    height, width = 24, 40
    z, x = torch.meshgrid(
        1 - (2 * torch.arange(height) + 1) / height,
        (2 * torch.arange(width) + 1) / width - 1,
        indexing="ij",
    )
    inverse_depth = 0.5 + 0.3 * torch.sin(3 * x) * torch.cos(2 * z)
    means = torch.stack([x, inverse_depth, z], dim=-1).reshape(-1, 3).repeat(2, 1)
    means += 0.01 * torch.randn(means.shape, generator=draw)
    count = len(means)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(1, count, *shape, generator=draw)

    angle = 3 * uniform()
    tilt = 0.1 * torch.randn(2, 1, count, generator=draw)
    quats = torch.stack([angle.cos(), tilt[0], angle.sin(), tilt[1]], dim=-1)
    colors = 0.5 + 0.4 * torch.sin(4 * means[:, [0, 2, 1]] + torch.tensor([0.0, 1.0, 2.0]))
    return DynamicGaussians(
        means=means[None],
        motion=0.1 * torch.randn(1, count, 2, 3, generator=draw) * torch.tensor([1, 0.1, 1]),
        scales=0.02 + 0.03 * uniform(3),
        quats=quats / quats.norm(dim=-1, keepdim=True),
        colors=(colors + 0.05 * torch.randn(colors.shape, generator=draw)).clamp(0, 1)[None],
        opacities=0.1 + 0.9 * uniform(),
        opacity_slopes=20 * uniform() ** 2,
        opacity_half_lives=uniform().clamp(0.02, 0.98),
        anchor_times=torch.arange(2.0).repeat_interleave(count // 2)[None],
    )


@pytest.fixture(scope="session")
def splats(scene: DynamicGaussians) -> Splats:
    return Placement(Lens(60.0, 24 / 40)).splats(scene, 0.25)
