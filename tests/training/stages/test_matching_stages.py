"""Both stages on a network with a matcher."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.models import MatchingConfig, build_static_model, save_model
from core.training import DynamicStage, DynamicStageOptions, StaticStage, StaticStageOptions
from core.training.stages.noise import StepNoise
from core.types import ClipBatch

SIZE = (32, 64)
CONFIG = MatchingConfig(
    image_height=SIZE[0],
    image_width=SIZE[1],
    pixel_width=16,
    pixel_blocks=1,
    feature_widths=(16, 16, 32),
    encoder_layers=1,
    matcher_layers=1,
    updates=(1, 1),
    refinement_widths=(16, 16),
    dynamics_width=16,
)
NOISE = StepNoise(background=torch.full((3,), 0.5), depth_dropped=torch.tensor([False, False]))
SHIFT = 6
"""Pixels to the right from the first frame to the last."""


def moving_texture(views: int) -> ClipBatch:
    """Two smooth textures that move to the right, with motion known everywhere."""
    torch.manual_seed(0)
    canvas = torch.nn.functional.interpolate(
        torch.rand(2, 3, 5, 10), (SIZE[0], SIZE[1] + 2 * SHIFT), mode="bicubic"
    ).clamp(0, 1)
    times = torch.linspace(0, 1, views) if views > 1 else torch.zeros(1)
    starts = [SHIFT - round(SHIFT * time) for time in times.tolist()]
    frames = torch.stack([canvas[..., start : start + SIZE[1]] for start in starts], dim=1)
    motion = torch.zeros(2, 2, 2, SIZE[0] // 2, SIZE[1] // 2)
    motion[:, 0, 0], motion[:, 1, 0] = 2 * SHIFT / SIZE[1], -2 * SHIFT / SIZE[1]
    maps = torch.zeros(2, views, 1, *SIZE)
    nobody = torch.tensor([False, False])
    return ClipBatch(
        frames=frames,
        inverse_depths=maps,
        masks=maps,
        times=times.expand(2, -1),
        motion=motion,
        motion_known=torch.ones_like(motion[:, :, 0], dtype=torch.bool),
        has_depth=nobody,
        has_mask=nobody,
    )


@pytest.fixture
def stage1(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(build_static_model(CONFIG), tmp_path / "stage1")
    return tmp_path / "stage1" / "model.safetensors"


def test_the_first_picture_counts_beside_the_corrected_one() -> None:
    stage, batch = StaticStage(CONFIG, StaticStageOptions()), moving_texture(1)
    terms = stage.compute_losses(stage.build_model(), batch, NOISE).terms
    torch.testing.assert_close(terms["loss"], terms["mse"] + 0.3 * terms["first"])
    assert terms["first"] > 0


def test_motion_and_what_is_hidden_are_learnt_by_default(stage1: Path) -> None:
    batch = moving_texture(3)
    stage = DynamicStage(CONFIG, DynamicStageOptions(encoder_path=stage1, num_frames=3))
    terms = stage.compute_losses(stage.build_model(), batch, NOISE).terms
    expected = terms["mse"] + 0.02 * terms["motion"] + 0.005 * terms["hidden"]
    torch.testing.assert_close(terms["loss"], expected)
    assert terms["motion"] > 1
    assert terms["hidden"] > 0


@pytest.mark.slow
def test_a_matcher_learns_the_motion_of_its_samples(stage1: Path) -> None:
    batch = moving_texture(3)
    stage = DynamicStage(CONFIG, DynamicStageOptions(encoder_path=stage1, num_frames=3))
    model = stage.build_model()
    frozen = [p.clone() for p in model.get_submodule("static.heads.first").parameters()]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    errors: list[float] = []
    for _ in range(60):
        optimizer.zero_grad()
        losses = stage.compute_losses(model, batch, NOISE)
        losses.total.backward()
        optimizer.step()
        errors.append(losses.terms["motion"].item())
    assert errors[-1] < 0.25 * SHIFT < errors[0]
    now = model.get_submodule("static.heads.first").parameters()
    assert all(torch.equal(one, other) for one, other in zip(frozen, now, strict=True))
