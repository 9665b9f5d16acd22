"""Command line of stage 2, ``train_decoder.py``: one subcommand for each kind of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import tyro

from configs import options
from configs.dataset_paths import DatasetPaths
from configs.training_data import (
    OnCo3d,
    OnCombined,
    OnDavis,
    OnFrames,
    OnRe10k,
    OnScenes,
    OnVos,
    WithReach,
)
from core.training import DynamicOptimizerOptions, DynamicRunOptions, DynamicStageOptions

# Where the data sets lie, unless an option or an environment variable says otherwise: as in
# stage 1, or wherever is written here instead.
RE10K_PATH = options.RE10K_PATH
CO3D_PATH = options.CO3D_PATH
DAVIS_PATH = options.DAVIS_PATH
VOS_PATH = options.VOS_PATH
FRAMES_PATH = options.FRAMES_PATH

PATHS = DatasetPaths(
    file="configs/options_decoder.py",
    re10k=RE10K_PATH,
    co3d=CO3D_PATH,
    davis=DAVIS_PATH,
    vos=VOS_PATH,
    frames=FRAMES_PATH,
)
"""The constants together."""


@dataclass(frozen=True, kw_only=True)
class DynamicTraining:
    """Options of stage 2, whatever the data.

    The defaults are the published recipe on each of 8 GPUs.
    """

    run: tyro.conf.OmitArgPrefixes[DynamicRunOptions]
    """The run."""
    model: tyro.conf.OmitArgPrefixes[DynamicStageOptions]
    """The dynamic decoder."""
    optimizer: tyro.conf.OmitArgPrefixes[DynamicOptimizerOptions] = field(
        default_factory=DynamicOptimizerOptions
    )
    """AdamW and its schedule."""


@dataclass(frozen=True, kw_only=True)
class DynamicOnDatasets(WithReach, DynamicTraining):
    """Options of stage 2 on data sets."""

    paths: ClassVar[DatasetPaths] = PATHS


@dataclass(frozen=True, kw_only=True)
class DynamicRe10k(DynamicOnDatasets, OnRe10k):
    """Train the decoder on RealEstate10K."""


@dataclass(frozen=True, kw_only=True)
class DynamicCo3d(DynamicOnDatasets, OnCo3d):
    """Train the decoder on CO3Dv2."""


@dataclass(frozen=True, kw_only=True)
class DynamicDavis(DynamicOnDatasets, OnDavis):
    """Train the decoder on DAVIS 2017."""


@dataclass(frozen=True, kw_only=True)
class DynamicVos(DynamicOnDatasets, OnVos):
    """Train the decoder on YouTube-VOS."""


@dataclass(frozen=True, kw_only=True)
class DynamicCombined(DynamicOnDatasets, OnCombined):
    """Train the decoder on several data sets, and on procedural scenes if wanted."""


@dataclass(frozen=True, kw_only=True)
class DynamicFrames(DynamicOnDatasets, OnFrames):
    """Train the decoder on a folder of clips."""


@dataclass(frozen=True, kw_only=True)
class DynamicSynthetic(OnScenes, DynamicTraining):
    """Train the decoder on procedural scenes, which need no files."""


Options = (
    Annotated[DynamicRe10k, tyro.conf.subcommand("re10k")]
    | Annotated[DynamicCo3d, tyro.conf.subcommand("co3d")]
    | Annotated[DynamicDavis, tyro.conf.subcommand("davis")]
    | Annotated[DynamicVos, tyro.conf.subcommand("vos")]
    | Annotated[DynamicCombined, tyro.conf.subcommand("combined")]
    | Annotated[DynamicFrames, tyro.conf.subcommand("frames")]
    | Annotated[DynamicSynthetic, tyro.conf.subcommand("synthetic")]
)
