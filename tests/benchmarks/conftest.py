"""Benchmarks are programs beside the package, which import one another by their bare names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import from their folder, as Python does for a program that lies in it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture(autouse=True)
def fresh_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget Accelerate's process-wide state, and that a benchmark asked for the CPU."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
