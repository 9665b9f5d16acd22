"""A network small enough to train in a test, and what it is trained with."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

from core.models import save_model
from core.training import (
    DataOptions,
    DynamicStage,
    DynamicStageOptions,
    OptimizerOptions,
    RunOptions,
    StaticStage,
    StaticStageOptions,
)

MICRO_FILE = Path(__file__).with_name("micro.py")


def _load_micro() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_micro", MICRO_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_micro = _load_micro()
MICRO, SCENES, OPTIMIZER = _micro.MICRO, _micro.SCENES, _micro.OPTIMIZER


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
    save_model(StaticStage(MICRO, StaticStageOptions()).build_model(), folder)
    encoder = {"encoder_path": folder / "model.safetensors", "num_frames": 3}
    return lambda **options: DynamicStage(MICRO, DynamicStageOptions(**{**encoder, **options}))


@pytest.fixture
def run_options(tmp_path: Path) -> Callable[..., RunOptions]:
    """Options of a run in ``<tmp>/<name>``; keyword arguments change them."""

    def build(name: str = "run", **changes: object) -> RunOptions:
        return _micro.run_options(tmp_path / name, **changes)

    return build


@pytest.fixture
def micro_file() -> Path:
    """A program that trains the micro network."""
    return MICRO_FILE


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
