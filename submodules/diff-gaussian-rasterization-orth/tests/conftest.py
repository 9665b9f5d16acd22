"""Shared by the tests: random scenes, comparison of images, a loss that depends on everything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diff_gaussian_rasterization_orth import Rasterization, rasterize
from torch import Tensor

Scene = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))


@pytest.fixture
def random_scene() -> Callable[..., Scene]:
    """Return a function that draws the arguments of ``rasterize``, rotated and moving."""

    def draw(
        n: int,
        *,
        b: int = 1,
        t: int = 1,
        k: int = 1,
        size: float = 0.3,
        image_size: tuple[int, int] = (9, 13),
        dtype: torch.dtype = torch.float64,
        seed: int = 0,
    ) -> Scene:
        generator = torch.Generator().manual_seed(seed)

        def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
            values = torch.rand(*shape, generator=generator, dtype=torch.float64)
            return (low + (high - low) * values).to(dtype)

        position = [(-1.2, 1.2), (-0.05, 1.05), (-1.2, 1.2)]
        return {
            "means": torch.stack([uniform(b, n, low=lo, high=hi) for lo, hi in position], dim=-1),
            "motion": uniform(b, n, k, 3, low=-0.15, high=0.15),
            "scales": uniform(b, n, 3, low=0.03 * size, high=size),
            "quats": uniform(b, n, 4, low=-0.8, high=0.8),
            "colors": uniform(b, n, 3),
            "opacities": uniform(b, n),
            "opacity_slopes": uniform(b, n, high=6.0),
            "opacity_half_lives": uniform(b, n, low=0.1, high=0.9),
            "anchor_times": uniform(b, n).round(),
            "times": uniform(b, t, low=-0.1, high=1.1),
            "image_size": image_size,
            "backgrounds": uniform(b, t, 3),
        }

    return draw


@pytest.fixture
def still_scene() -> Callable[..., Scene]:
    """Return a function that makes round, grey, constant Gaussians at given places."""

    def make(
        means: list[tuple[float, float, float]],
        *,
        scale: float = 0.1,
        opacities: list[float] | float = 0.5,
        colors: list[tuple[float, float, float]] | None = None,
        image_size: tuple[int, int] = (8, 8),
        dtype: torch.dtype = torch.float32,
    ) -> Scene:
        n = len(means)
        ones = torch.ones(1, n, dtype=dtype)
        return {
            "means": torch.tensor(means, dtype=dtype).reshape(1, n, 3),
            "motion": torch.zeros(1, n, 0, 3, dtype=dtype),
            "scales": torch.full((1, n, 3), scale, dtype=dtype),
            "quats": torch.tensor([1.0, 0, 0, 0], dtype=dtype).expand(1, n, 4),
            "colors": torch.tensor(colors or [(0.5, 0.5, 0.5)] * n, dtype=dtype).reshape(1, n, 3),
            "opacities": ones * torch.tensor(opacities, dtype=dtype),
            "opacity_slopes": 0 * ones,
            "opacity_half_lives": 0.5 * ones,
            "anchor_times": 0 * ones,
            "times": torch.zeros(1, 1, dtype=dtype),
            "image_size": image_size,
            "backgrounds": torch.zeros(3, dtype=dtype),
        }

    return make


@pytest.fixture
def assert_images_agree() -> Callable[..., None]:
    """Return a function that compares images which are rounded differently.

    Two roundings may disagree whether a contribution reaches 1/255 or lies inside three deviations.
    One pixel in a thousand, and at least one, may thus differ by at most exp(-4.5) of a colour or
    depth, which is at most 5; all others agree to ``atol``.
    """

    def check(found: Rasterization, expected: Rasterization | Tensor, *, atol: float) -> None:
        wanted = expected if isinstance(expected, Tensor) else torch.cat(expected, dim=2)
        error = (torch.cat(found, dim=2).double() - wanted).abs() / wanted.abs().clamp_min(1)
        pixels = error.amax(dim=2)  # (b, t, h, w)
        differing = int((pixels > atol).sum())
        assert differing <= max(1, pixels.numel() // 1000), f"{differing} of {pixels.numel()}"
        assert pixels.max() <= 5 * math.exp(-4.5)

    return check


@pytest.fixture
def differentiate() -> Callable[..., tuple[Rasterization, dict[str, Tensor]]]:
    """Return a function that renders, and differentiates a loss with random weights."""

    def run(scene: Scene, **options: Any) -> tuple[Rasterization, dict[str, Tensor]]:
        inputs = {
            name: value.detach().clone().requires_grad_() if isinstance(value, Tensor) else value
            for name, value in scene.items()
        }
        images = rasterize(**inputs, **options)
        generator = torch.Generator().manual_seed(1)
        weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in images]
        loss = torch.stack([(x * w).sum() for x, w in zip(images, weights, strict=True)]).sum()
        loss.backward()
        tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
        return images, {name: value.grad for name, value in tensors.items()}

    return run
