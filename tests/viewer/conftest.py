from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.geometry.canonical import pixel_centers
from core.geometry.fit import FitMode
from core.scene_file import SceneHeader, SceneWriter
from core.types import DynamicGaussians
from tests.viewer.chromium import EXECUTABLE, Chromium

GRID = (18, 32)
WriteScene = Callable[..., Path]


def key_frame(
    seed: int, *, turned_in_picture: bool, on_a_surface: bool = False
) -> DynamicGaussians:
    """Draw Gaussians of a key frame, turned anyhow or within the picture; they move and fade.

    They are anywhere in depth, or on the ground and a wall behind it.
    """
    random = torch.Generator().manual_seed(seed)
    rows, columns = GRID
    count = rows * columns

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(1, count, *shape, generator=random)

    x, z = (plane.flatten()[None] for plane in pixel_centers(rows, columns))
    quats = torch.nn.functional.normalize(uniform(-1, 1, 4), dim=-1)
    scales = uniform(0.01, 0.12, 3)
    if turned_in_picture:
        half = uniform(-math.pi, math.pi)
        quats = torch.stack([half.cos(), 0 * half, half.sin(), 0 * half], dim=-1)
        scales[..., 1] = (scales[..., 0] + scales[..., 2]) / 2
    depths = (0.3 - 0.6 * z).clamp_min(0.2 + 0.1 * x) if on_a_surface else uniform(0, 1)
    means = torch.stack([x + uniform(-0.05, 0.05), depths, z + uniform(-0.05, 0.05)], -1)
    return DynamicGaussians(
        means=means,
        motion=uniform(-0.2, 0.2, 2, 3) * torch.tensor([1, 0.3, 1]),
        scales=scales,
        quats=quats,
        colors=uniform(0, 1, 3),
        opacities=uniform(0, 1),
        opacity_slopes=uniform(0, 12),
        opacity_half_lives=uniform(0, 1),
        anchor_times=torch.zeros(1, count),
    )


def interval(first: DynamicGaussians, second: DynamicGaussians) -> DynamicGaussians:
    second = replace(second, anchor_times=second.anchor_times + 1)
    return DynamicGaussians.cat([first, second], dim=1)


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Return a function that writes a shot of 0 to 2 s and one of a single key frame at 3 s."""

    def write(
        fit_mode: FitMode = "stretch",
        frame_size: tuple[int, int] = (90, 160),
        *,
        turned_in_picture: bool = False,
        on_a_surface: bool = False,
    ) -> Path:
        header = SceneHeader((144, 256), GRID, frame_size, fit_mode, frames_per_second=10)
        path = tmp_path / "scene.ssplat"
        frames = [
            key_frame(seed, turned_in_picture=turned_in_picture, on_a_surface=on_a_surface)
            for seed in range(3)
        ]
        with SceneWriter(path, header) as writer:
            for i in range(2):
                writer.append(interval(frames[i], frames[i + 1]), i, i + 1, opens=i == 0)
            still = replace(frames[0], motion=frames[0].motion[:, :, :0])
            writer.append(still, 3, 3, opens=True)
        return path

    return write


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    """Give a browser; at the end, the page must have met no error."""
    if EXECUTABLE is None:
        pytest.skip("needs chromium on the path")
    with Chromium(tmp_path / "profile") as chromium:
        yield chromium
        assert chromium.errors == []
