"""How far apart the runs of one command are, by their logs and their weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from repeated_steps import relative
from torch import Tensor

from core.checks import UserError
from core.io.weights import read_tensors
from core.training.reporting.run_log import LOG_FILE
from core.training.workspace.checkpoints import LATEST

OF_THE_MACHINE = frozenset({"samples_per_second", "data_wait", "gpu_memory_gib"})
"""Entries of a log that depend on the machine and not on what is learnt."""
_MODEL, _OPTIMIZER = "model.safetensors", "optimizer.safetensors"


@dataclass(frozen=True)
class Difference:
    """Between two runs, or the largest of several; relative, so that 0 is equal and 1 is all."""

    loss_median: float
    """Median over the lines of the log."""
    loss_largest: float
    """Largest of them."""
    weights_median: float
    """Median over the trained tensors, each by its Euclidean norm."""
    weights_largest: float
    """Largest of them."""
    same_bits: bool
    """Whether all logged numbers, the weights and the optimiser's state are equal bit for bit."""


def compare_runs(one: Path, two: Path) -> Difference:
    """Compare two workspaces whose runs have ended.

    Raises:
        UserError: If their logs are not of the same steps.
    """
    lines, others = (_read_log(workspace) for workspace in (one, two))
    steps, other_steps = ([line["step"] for line in log] for log in (lines, others))
    if steps != other_steps:
        raise UserError(
            f"{one / LOG_FILE} has {len(steps)} lines, {two / LOG_FILE} {len(other_steps)}; "
            "expected the same steps in both, each once."
        )
    losses = [
        relative(a["loss"], b["loss"]) for a, b in zip(lines, others, strict=True) if "loss" in a
    ]
    weights = _compare_weights(one / LATEST, two / LATEST)
    same_files = all(
        (one / LATEST / name).read_bytes() == (two / LATEST / name).read_bytes()
        for name in (_MODEL, _OPTIMIZER)
    )
    return Difference(
        loss_median=median(losses),
        loss_largest=max(losses),
        weights_median=median(weights),
        weights_largest=max(weights),
        same_bits=same_files and lines == others,
    )


def largest(differences: Sequence[Difference]) -> Difference:
    """Return the largest of each of several pairs' differences."""
    return Difference(
        loss_median=max(d.loss_median for d in differences),
        loss_largest=max(d.loss_largest for d in differences),
        weights_median=max(d.weights_median for d in differences),
        weights_largest=max(d.weights_largest for d in differences),
        same_bits=all(d.same_bits for d in differences),
    )


def _read_log(workspace: Path) -> list[dict[str, float]]:
    lines = (json.loads(line) for line in (workspace / LOG_FILE).read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in OF_THE_MACHINE} for line in lines]


def _compare_weights(one: Path, two: Path) -> list[float]:
    weights, others = (read_tensors(path / _MODEL) for path in (one, two))
    trained = {key.rpartition(".")[0] for key in read_tensors(one / _OPTIMIZER)}
    return [_distance(weights[name], others[name]) for name in sorted(trained)]


def _distance(a: Tensor, b: Tensor) -> float:
    scale = max(a.double().norm().item(), b.double().norm().item())
    return (a.double() - b.double()).norm().item() / scale if scale else 0.0
