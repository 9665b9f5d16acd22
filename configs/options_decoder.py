"""Command line of stage 2, ``train_decoder.py``: one subcommand for each kind of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from configs.training_data import OnBoth, OnClips, OnScenes
from core.data.clips import ClipSequenceOptions
from core.training import DynamicStageOptions, OptimizerOptions, RunOptions


@dataclass(frozen=True, kw_only=True)
class DynamicTraining:
    """Options of stage 2, whatever the data.

    The published recipe: lr 5e-4, 20,000 steps of warm-up, batches of 16 on each of 8 GPUs.
    """

    run: RunOptions
    """The run."""
    model: DynamicStageOptions
    """The dynamic decoder."""
    optimizer: OptimizerOptions = field(
        default_factory=lambda: OptimizerOptions(final_lr_fraction=0.5)
    )
    """AdamW and its schedule."""


@dataclass(frozen=True, kw_only=True)
class DynamicFrames(OnClips, DynamicTraining):
    """Train the decoder on a folder of clips."""

    clips: ClipSequenceOptions
    """Clips on disk."""


@dataclass(frozen=True, kw_only=True)
class DynamicProcedural(OnScenes, DynamicTraining):
    """Train the decoder on procedural scenes, which need no files."""


@dataclass(frozen=True, kw_only=True)
class DynamicMixed(OnBoth, DynamicTraining):
    """Train the decoder on a folder of clips and on procedural scenes."""

    clips: ClipSequenceOptions
    """Clips on disk."""


Options = (
    Annotated[DynamicFrames, tyro.conf.subcommand("frames")]
    | Annotated[DynamicProcedural, tyro.conf.subcommand("procedural")]
    | Annotated[DynamicMixed, tyro.conf.subcommand("mixed")]
)
