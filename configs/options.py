"""Command line of stage 1, ``train.py``: one subcommand for each kind of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from core.data.clips import ClipOptions
from core.data.procedural import ProceduralOptions
from core.training import DataOptions, OptimizerOptions, RunOptions, StaticStageOptions


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
class StaticFrames(StaticTraining):
    """Train the static network on a folder of clips."""

    clips: ClipOptions
    """Clips on disk."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(clips=self.clips)


@dataclass(frozen=True, kw_only=True)
class StaticProcedural(StaticTraining):
    """Train the static network on procedural scenes, which need no files."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(procedural=ProceduralOptions())


@dataclass(frozen=True, kw_only=True)
class StaticMixed(StaticTraining):
    """Train the static network on a folder of clips and on procedural scenes."""

    clips: ClipOptions
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
    Annotated[StaticFrames, tyro.conf.subcommand("frames")]
    | Annotated[StaticProcedural, tyro.conf.subcommand("procedural")]
    | Annotated[StaticMixed, tyro.conf.subcommand("mixed")]
)
