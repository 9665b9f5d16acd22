"""The smallest network that the architecture allows, for tests of what is done with one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.models import StreamSplat, StreamSplatConfig, build_model, save_model


@pytest.fixture(scope="session")
def small_config() -> StreamSplatConfig:
    return StreamSplatConfig(
        image_height=32,
        image_width=64,
        patch_size=16,
        width=64,
        head_width=32,
        encoder_layers=1,
        decoder_layers=1,
        upsampler_widths=(32, 32, 32),
        window=16,
        use_dino=False,
    )


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory, small_config: StreamSplatConfig) -> Path:
    """Save one whose pictures depend on the frame, with random weights; return its folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    model = build_model(small_config)
    assert isinstance(model, StreamSplat)
    torch.nn.init.normal_(model.static.heads.color.weight, std=0.5)
    save_model(model, folder)
    return folder
