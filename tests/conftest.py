"""Shared by all tests: what is skipped, and where real clips are."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# A shell that starts tests in the background lets them ignore Ctrl-C, and so would the programs
# that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.pixel_clips", "tests.small_network"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of a GPU where there is none; of several processes, one runs all of them."""
    mark = pytest.mark.xdist_group("gpu")
    if not torch.cuda.is_available():
        mark = pytest.mark.skip(reason="no CUDA device on this machine")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(mark)


@pytest.fixture(autouse=True)
def unconfigured_logging() -> Iterator[None]:
    """Undo what a program that ran within a test did to the project's logger."""
    logger = logging.getLogger("streamsplat")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers, level, logger.propagate = before
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def same_number_of_threads() -> Iterator[None]:
    """Undo what a test, or a library with OpenMP that it used, did to PyTorch's threads.

    Several would wait for each other in each small operation of all tests that follow.
    """
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the indices of datasets out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMSPLAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """Folder of real clips, ``<clip>/JPEGImages/*.jpg``, named by STREAMSPLAT_CLIPS."""
    folder = os.environ.get("STREAMSPLAT_CLIPS")
    if not folder:
        pytest.skip("STREAMSPLAT_CLIPS names no folder of real clips")
    return Path(folder)
