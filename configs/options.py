"""Command line of stage 1, ``train.py``: one subcommand for each kind of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from configs.dataset_paths import DatasetPaths
from configs.training_data import (
    OnCo3d,
    OnCombined,
    OnDatasets,
    OnDavis,
    OnFrames,
    OnRe10k,
    OnScenes,
    OnVos,
)
from core.training import OptimizerOptions, RunOptions, StaticStageOptions

# Where the data sets lie, unless an option or an environment variable says otherwise.
RE10K_PATH = Path("data/RealEstate10K")
CO3D_PATH = Path("data/CO3D")
DAVIS_PATH = Path("data/DAVIS")
VOS_PATH = Path("data/YouTube-VOS")
FRAMES_PATH = Path("data/clips")

PATHS = DatasetPaths(
    file="configs/options.py",
    re10k=RE10K_PATH,
    co3d=CO3D_PATH,
    davis=DAVIS_PATH,
    vos=VOS_PATH,
    frames=FRAMES_PATH,
)
"""The constants together."""


@dataclass(frozen=True, kw_only=True)
class StaticTraining:
    """Options of stage 1, whatever the data.

    The defaults are the published recipe on each of 8 GPUs.
    """

    run: tyro.conf.OmitArgPrefixes[RunOptions]
    """The run."""
    model: tyro.conf.OmitArgPrefixes[StaticStageOptions] = field(default_factory=StaticStageOptions)
    """The static network."""
    optimizer: tyro.conf.OmitArgPrefixes[OptimizerOptions] = field(default_factory=OptimizerOptions)
    """AdamW and its schedule."""


@dataclass(frozen=True, kw_only=True)
class StaticOnDatasets(OnDatasets, StaticTraining):
    """Options of stage 1 on data sets."""

    paths: ClassVar[DatasetPaths] = PATHS


@dataclass(frozen=True, kw_only=True)
class StaticRe10k(OnRe10k, StaticOnDatasets):
    """Train the static network on RealEstate10K."""


@dataclass(frozen=True, kw_only=True)
class StaticCo3d(OnCo3d, StaticOnDatasets):
    """Train the static network on CO3Dv2."""


@dataclass(frozen=True, kw_only=True)
class StaticDavis(OnDavis, StaticOnDatasets):
    """Train the static network on DAVIS 2017."""


@dataclass(frozen=True, kw_only=True)
class StaticVos(OnVos, StaticOnDatasets):
    """Train the static network on YouTube-VOS."""


@dataclass(frozen=True, kw_only=True)
class StaticCombined(OnCombined, StaticOnDatasets):
    """Train the static network on several data sets, and on procedural scenes if wanted."""


@dataclass(frozen=True, kw_only=True)
class StaticFrames(OnFrames, StaticOnDatasets):
    """Train the static network on a folder of clips."""


@dataclass(frozen=True, kw_only=True)
class StaticSynthetic(OnScenes, StaticTraining):
    """Train the static network on procedural scenes, which need no files."""


Options = (
    Annotated[StaticRe10k, tyro.conf.subcommand("re10k")]
    | Annotated[StaticCo3d, tyro.conf.subcommand("co3d")]
    | Annotated[StaticDavis, tyro.conf.subcommand("davis")]
    | Annotated[StaticVos, tyro.conf.subcommand("vos")]
    | Annotated[StaticCombined, tyro.conf.subcommand("combined")]
    | Annotated[StaticFrames, tyro.conf.subcommand("frames")]
    | Annotated[StaticSynthetic, tyro.conf.subcommand("synthetic")]
)
