"""A network small enough to train in a test, and what it is trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

from core.data.procedural import ProceduralOptions
from core.models.config import StreamSplatConfig
from core.training import (
    DataOptions,
    DynamicStage,
    DynamicStageOptions,
    OptimizerOptions,
    ReportOptions,
    RunOptions,
    StaticStage,
    StaticStageOptions,
)

MICRO = StreamSplatConfig(
    image_height=32,
    image_width=64,
    patch_size=8,
    width=32,
    head_width=16,
    encoder_layers=1,
    decoder_layers=1,
    upsampler_widths=(32, 16),
    window=64,
    use_dino=False,
    pixel_skip=True,
    initial_scale=0.6,
    initial_opacity=0.9,
    log_scale_offset=-4.5,
)
SCENES = DataOptions(procedural=ProceduralOptions(min_objects=1, max_objects=2))
OPTIMIZER = OptimizerOptions(lr=3e-3, warmup_steps=2)


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Forget Accelerate's process-wide state, which remembers an earlier test's precision."""
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.fixture
def scenes() -> DataOptions:
    return SCENES


@pytest.fixture
def optimizer() -> OptimizerOptions:
    return OPTIMIZER


@pytest.fixture
def make_static_stage() -> Callable[..., StaticStage]:
    """Build a first stage; keyword arguments are its options, ``config`` changes of the network."""

    def build(config: Mapping[str, object] | None = None, **options: object) -> StaticStage:
        changed = replace(MICRO, **(config or {}))  # type: ignore[arg-type]
        return StaticStage(changed, StaticStageOptions(**options))  # type: ignore[arg-type]

    return build


@pytest.fixture
def make_dynamic_stage(tmp_path: Path) -> Callable[..., DynamicStage]:
    """Build a second stage on top of untrained weights of the first."""
    folder = tmp_path / "stage1"
    StaticStage(MICRO, StaticStageOptions()).build_model().save_pretrained(folder)
    encoder = {"encoder_path": folder / "model.safetensors", "num_frames": 3}
    return lambda **options: DynamicStage(MICRO, DynamicStageOptions(**{**encoder, **options}))


@pytest.fixture
def run_options(tmp_path: Path) -> Callable[..., RunOptions]:
    """Options of a run in ``<tmp>/<name>``; keyword arguments change them."""

    def build(name: str = "run", **changes: object) -> RunOptions:
        defaults: dict[str, object] = {
            "workspace": tmp_path / name,
            "steps": 4,
            "steps_per_epoch": 1000,
            "batch_size": 2,
            "mixed_precision": "no",
        }
        report = {"log_every": 1, "eval_every": 0, "eval_samples": 1, "picture_every": 0}
        names = {field.name for field in fields(ReportOptions)}
        report.update({name: changes.pop(name) for name in names & set(changes)})
        return RunOptions(
            **{**defaults, **changes},  # type: ignore[arg-type]
            report=ReportOptions(**report),  # type: ignore[arg-type]
        )

    return build


@pytest.fixture
def clips_root(tmp_path: Path) -> Path:
    """Two clips of eight noisy frames: one with masks, one with depth."""
    rng = np.random.default_rng(0)
    for name, extra in (
        ("masked", "Annotations/{:05d}.png"),
        ("deep", "depthImages/{:05d}_pred.png"),
    ):
        for frame in range(8):
            for file, size in (("JPEGImages/{:05d}.jpg", (40, 72, 3)), (extra, (40, 72))):
                path = tmp_path / "clips" / name / file.format(frame)
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), rng.integers(0, 256, size, dtype=np.uint8))
    return tmp_path / "clips"
