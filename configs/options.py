"""Command line of stage 1, ``train.py``: one subcommand for each kind of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from configs.training_data import OnBoth, OnClips, OnScenes
from core.training import OptimizerOptions, RunOptions, StaticStageOptions


@dataclass(frozen=True, kw_only=True)
class StaticTraining:
    """Options of stage 1, whatever the data.

    The published recipe: lr 5e-4, 50,000 steps of warm-up, batches of 32 on each of 8 GPUs.
    """

    run: RunOptions
    """The run."""
    model: StaticStageOptions = field(default_factory=StaticStageOptions)
    """The static network."""
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    """AdamW and its schedule."""


@dataclass(frozen=True, kw_only=True)
class StaticFrames(OnClips, StaticTraining):
    """Train the static network on a folder of clips."""


@dataclass(frozen=True, kw_only=True)
class StaticProcedural(OnScenes, StaticTraining):
    """Train the static network on procedural scenes, which need no files."""


@dataclass(frozen=True, kw_only=True)
class StaticMixed(OnBoth, StaticTraining):
    """Train the static network on a folder of clips and on procedural scenes."""


Options = (
    Annotated[StaticFrames, tyro.conf.subcommand("frames")]
    | Annotated[StaticProcedural, tyro.conf.subcommand("procedural")]
    | Annotated[StaticMixed, tyro.conf.subcommand("mixed")]
)
