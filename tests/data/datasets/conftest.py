"""Miniature datasets that a test may damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from core.data.datasets import open_dataset
from core.data.datasets.sequence_set import SequenceSet
from core.data.miniature import write_miniature

FRAMES = 6


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write datasets of three sequences of six frames, 48 x 80, each once."""
    folder = tmp_path_factory.mktemp("miniatures")
    return cache(
        lambda name: write_miniature(name, folder / name, frames=FRAMES, image_size=(48, 80))
    )


@pytest.fixture
def miniature(originals: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copy such a dataset for this test alone, and return its folder."""
    return lambda name: shutil.copytree(originals(name), tmp_path / name)


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[..., SequenceSet]:
    """Open a dataset with an index of this test's own."""
    return lambda name, path, **options: open_dataset(
        name, path, cache_folder=tmp_path / "cache", **options
    )
