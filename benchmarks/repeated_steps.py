"""Steps that were taken more than once from the same weights, with the same samples and noise.

Whole runs are no measure on a GPU: AdamW's first steps turn the rounding of tiny gradients into
steps of full length, so that runs of one command drift apart by up to tens of per cent. A step that
is taken again from the same checkpoint differs from itself by rounding alone, as the first steps of
runs that start from the same weights do.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from core.training.reporting.run_log import LOG_FILE

Lines = Mapping[int, Mapping[str, float]]
"""Lines of training in a log, by step."""
FACTOR = 3.0
"""How many times as far from itself a step may be as first steps are from one another."""
FLOORS = {"bf16": 2.0**-10, "no": 1e-5}
"""Relative difference of a loss that is accepted in any case, by precision.

A matrix product whose sums are formed in another order may round an activation to its neighbour, in
bfloat16 2**-8 of it away; over the thousands of pixels of a loss, most of it cancels. Sums of
thousands of float32 are good to about 1e-5. For comparison, on a network for 32 by 64 pixels: a
sample left out changes the loss of the first step after a checkpoint by 20 per cent, a lost state
of the optimiser that of the second by 4 per cent in stage 1 and by 0.2 per cent in stage 2.
"""


@dataclass(frozen=True)
class Start:
    """A start of a program on a workspace, and what it logged."""

    saved: int
    """Step of the checkpoint from which it resumed; 0 for the beginning."""
    lines: Lines
    """Its own lines, without those of the starts before."""


@dataclass(frozen=True)
class Repeat:
    """A step taken twice; differences are relative, so that 0 is equal and 1 is all."""

    since: int
    """Which step it is after the weights that both times started from: 1 is the first."""
    loss: float
    """Of the loss."""
    grad_norm: float
    """Of the norm of the gradients."""


@dataclass(frozen=True)
class Spread:
    """How far apart steps are that were taken twice."""

    count: int
    """How many there are."""
    loss_median: float
    """Median over them."""
    loss_largest: float
    """Largest of them."""
    grad_norm_median: float
    """Median over them."""
    grad_norm_largest: float
    """Largest of them."""


def read_lines(log: Path) -> Lines:
    """Read the lines of training of a log, but for one that a kill has cut short."""
    lines = {}
    for text in log.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if line["kind"] == "train":
            lines[line["step"]] = line
    return lines


def compare_starts(starts: Iterable[Start]) -> list[Repeat]:
    """Compare each step that was taken again with the time before.

    Whatever start took it before had the weights of the checkpoint at hand as well: it wrote that
    checkpoint, or resumed from it itself.
    """
    repeats, before = [], {}
    for start in starts:
        for step, line in start.lines.items():
            if step in before:
                repeats.append(_compare(step - start.saved, before[step], line))
            before[step] = line
    return repeats


def compare_beginnings(workspaces: Sequence[Path], steps: int) -> list[Repeat]:
    """Compare the first ``steps`` steps of runs that start from the same weights, in all pairs."""
    logs = [read_lines(workspace / LOG_FILE) for workspace in workspaces]
    return [
        _compare(step, one[step], two[step])
        for one, two in itertools.combinations(logs, 2)
        for step in range(1, steps + 1)
        if step in one and step in two
    ]


def spread(repeats: Iterable[Repeat], since: int | None = None) -> Spread | None:
    """Summarise repeats, or those of the step ``since`` alone; None where there are none."""
    chosen = [repeat for repeat in repeats if since in (None, repeat.since)]
    if not chosen:
        return None
    losses = [repeat.loss for repeat in chosen]
    norms = [repeat.grad_norm for repeat in chosen]
    return Spread(len(chosen), median(losses), max(losses), median(norms), max(norms))


def relative(a: float, b: float) -> float:
    """Return the difference of two numbers, relative to the larger; infinite where one is NaN."""
    scale = max(abs(a), abs(b))
    difference = abs(a - b) / scale if scale else 0.0
    return math.inf if math.isnan(difference) else difference


def _compare(since: int, one: Mapping[str, float], two: Mapping[str, float]) -> Repeat:
    # Steps that are skipped have no values: 0 unless both were skipped.
    loss, grad_norm = (
        relative(one.get(name, 0.0), two.get(name, 0.0)) for name in ("loss", "grad_norm")
    )
    return Repeat(since, loss, grad_norm)
