from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models import StreamSplat, StreamSplatConfig, build_model


@pytest.fixture(scope="session")
def network(small_config: StreamSplatConfig) -> StreamSplat:
    """Return a network whose Gaussians depend on the frame, move and fade, each differently."""
    torch.manual_seed(0)
    model = build_model(small_config).eval()
    with torch.no_grad():
        model.static.heads.color.weight.normal_(std=0.5)
        model.static.heads.opacity.bias.fill_(2.0)
        model.static.heads.scale.bias.fill_(-1.0)
        for parameter in model.dynamic.heads.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.fixture
def frame() -> Callable[[int], np.ndarray]:
    """Draw frame ``index`` of a textured picture that drifts, (h, w, 3) uint8."""
    blocks = np.random.default_rng(0).integers(0, 255, (9, 24, 3), np.uint8)
    base = blocks.repeat(4, 0).repeat(4, 1)  # (36, 96, 3)

    def draw(index: int) -> np.ndarray:
        return np.roll(base, index, 1)[:, :72]

    return draw


@pytest.fixture
def depth() -> Callable[[int], np.ndarray]:
    """Draw the depth map of frame ``index``, (h, w) float32."""

    def draw(index: int) -> np.ndarray:
        return np.linspace(0, 3 + index, 36, dtype=np.float32)[:, None].repeat(72, 1)

    return draw


@pytest.fixture
def assert_images_agree() -> Callable[..., None]:
    """Return a function that compares images (..., c, h, w) which are rounded differently.

    Two roundings may disagree whether a contribution reaches 1/255 or lies inside three deviations:
    one pixel in a thousand, and at least one, may thus differ by exp(-4.5) of a colour or depth.
    """

    def check(found: Tensor, expected: Tensor, *, atol: float) -> None:
        error = (found - expected).abs() / expected.abs().clamp_min(1)
        pixels = error.amax(dim=-3)
        assert (pixels > atol).sum() <= max(1, pixels.numel() // 1000)
        assert pixels.max() <= max(atol, 5 * math.exp(-4.5))

    return check
