"""Networks small enough to run many times in a test."""

from __future__ import annotations

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from core.models import StaticModel, StreamSplat, StreamSplatConfig, build_model, build_static_model

HEIGHT, WIDTH = 32, 64
ModelT = TypeVar("ModelT", bound=nn.Module)


@pytest.fixture
def config() -> StreamSplatConfig:
    """A few thousand weights."""
    return StreamSplatConfig(
        image_height=HEIGHT,
        image_width=WIDTH,
        patch_size=8,
        width=32,
        head_width=16,
        encoder_layers=2,
        decoder_layers=2,
        upsampler_widths=(32, 16),
        window=64,
        motion_degree=2,
        use_dino=False,
    )


@pytest.fixture
def model(config: StreamSplatConfig) -> StreamSplat:
    torch.manual_seed(0)
    return _randomized(build_model(config))


@pytest.fixture
def static_model(config: StreamSplatConfig) -> StaticModel:
    torch.manual_seed(0)
    return _randomized(build_static_model(config))


def _randomized(model: ModelT) -> ModelT:
    """Let the heads give every Gaussian other values, which untrained ones do not."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture
def frames() -> tuple[Tensor, Tensor]:
    """Two pairs of frames and their inverse depths."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(2, 2, 3, HEIGHT, WIDTH, generator=generator),
        torch.rand(2, 2, 1, HEIGHT, WIDTH, generator=generator),
    )
