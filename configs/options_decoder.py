"""Command line of stage 2, ``train_decoder.py``: one subcommand for each kind of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from core.data.clips import ClipSequenceOptions
from core.data.procedural import ProceduralOptions
from core.training import DataOptions, DynamicStageOptions, OptimizerOptions, RunOptions


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
class DynamicFrames(DynamicTraining):
    """Train the decoder on a folder of clips."""

    clips: ClipSequenceOptions
    """Clips on disk."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(clips=self.clips)


@dataclass(frozen=True, kw_only=True)
class DynamicProcedural(DynamicTraining):
    """Train the decoder on procedural scenes, which need no files."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(procedural=ProceduralOptions())


@dataclass(frozen=True, kw_only=True)
class DynamicMixed(DynamicTraining):
    """Train the decoder on a folder of clips and on procedural scenes."""

    clips: ClipSequenceOptions
    """Clips on disk."""
    procedural_share: float = 0.5
    """Share of procedural samples."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(
            clips=self.clips,
            procedural=ProceduralOptions(),
            procedural_share=self.procedural_share,
        )


Options = (
    Annotated[DynamicFrames, tyro.conf.subcommand("frames")]
    | Annotated[DynamicProcedural, tyro.conf.subcommand("procedural")]
    | Annotated[DynamicMixed, tyro.conf.subcommand("mixed")]
)
