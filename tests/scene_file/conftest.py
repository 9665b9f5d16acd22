from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from core.geometry.canonical import pixel_centers
from core.scene_file import GRADES, Grade, SceneHeader, SceneWriter
from core.types import DynamicGaussians

GRID = (6, 10)
HEADER = SceneHeader((48, 80), GRID, (96, 160), frames_per_second=10.0, source="clip")
MakeScene = Callable[..., list[DynamicGaussians]]
Write = Callable[..., Path]


def key_frame(seed: int, turned: str) -> dict[str, torch.Tensor]:
    """Draw the Gaussians of a key frame at their anchor."""
    random = torch.Generator().manual_seed(seed)
    rows, columns = GRID
    count = rows * columns

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(1, count, *shape, generator=random)

    x, z = (plane.flatten()[None] for plane in pixel_centers(rows, columns))
    scales = uniform(0.002, 0.2, 3)
    quats = torch.zeros(1, count, 4)
    quats[..., 0] = 1
    if turned == "about the view axis":
        half = uniform(-math.pi, math.pi)
        quats = torch.stack([half.cos(), 0 * half, half.sin(), 0 * half], dim=-1)
    elif turned == "anyhow":
        quats = uniform(-1, 1, 4)  # not normalised either
    else:
        scales[..., 1] = (scales[..., 0] + scales[..., 2]) / 2
    off_x, off_z = uniform(-1, 1) / columns, uniform(-1, 1) / rows
    return {
        "means": torch.stack([x + off_x, uniform(-0.05, 1.05), z + off_z], dim=-1),
        "scales": scales,
        "quats": quats,
        "colors": uniform(0, 1, 3),
        "opacities": uniform(0, 1),
    }


def moving(
    gaussians: dict[str, torch.Tensor], anchor: float, degree: int, seed: int
) -> DynamicGaussians:
    """Add random dynamics to a key frame."""
    random = torch.Generator().manual_seed(seed)
    count = gaussians["opacities"].shape[1]
    motion = torch.randn(1, count, degree, 3, generator=random) * torch.tensor([0.3, 0.2, 0.3])
    slopes = (torch.randn(1, count, generator=random) * 10).relu()
    return DynamicGaussians(
        **gaussians,
        motion=motion,
        opacity_slopes=slopes,
        opacity_half_lives=torch.rand(1, count, generator=random),
        anchor_times=torch.full((1, count), anchor),
    )


@pytest.fixture
def make_scene() -> MakeScene:
    """Return a function that draws the intervals of a shot; key frames are shared."""

    def make(
        num_key_frames: int = 4, *, degree: int = 1, turned: str = "not at all"
    ) -> list[DynamicGaussians]:
        frames = [key_frame(seed, turned) for seed in range(num_key_frames)]
        if num_key_frames == 1:
            return [moving(frames[0], 0.0, 0, 0)]
        return [
            DynamicGaussians.cat(
                [
                    moving(frames[i], 0.0, degree, 10 + i),
                    moving(frames[i + 1], 1.0, degree, 20 + i),
                ],
                dim=1,
            )
            for i in range(num_key_frames - 1)
        ]

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes shots; key frames are a second apart."""

    def write_shots(
        *shots: Sequence[DynamicGaussians],
        name: str = "scene.ssplat",
        grade: Grade = GRADES["fine"],
        header: SceneHeader = HEADER,
    ) -> Path:
        time = 0.0
        with SceneWriter(tmp_path / name, header, grade) as writer:
            for shot in shots:
                for i, gaussians in enumerate(shot):
                    static = gaussians.num_gaussians == header.num_gaussians
                    writer.append(gaussians, time, time + (not static), opens=i == 0)
                    time += not static
                time += 1
        return tmp_path / name

    return write_shots
