"""Depth networks small enough for tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from core.depth import DepthAnythingConfig


def _load_twin() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "published_twin", Path(__file__).with_name("published_twin.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def twin() -> ModuleType:
    """The independent implementation."""
    return _load_twin()


@pytest.fixture(scope="session")
def tiny() -> DepthAnythingConfig:
    """Five blocks of which four are read, on a position grid of 37 patches a side."""
    return DepthAnythingConfig(24, 5, 3, (0, 2, 3, 4), (4, 6, 8, 10), 8)


@pytest.fixture(scope="session")
def tiny_tensors(twin, tiny):
    """Random weights of the tiny network in the published naming."""
    shapes = twin.published_shapes(24, 5, tiny.tap_channels, 8, swiglu=False)
    return twin.random_weights(shapes)
