"""Command line of stage 1, ``train.py``."""

from __future__ import annotations

from pathlib import Path

from configs.datasets import DatasetPaths
from configs.training import SampleOptions, training_commands
from core.training import OptimizerOptions, RunOptions, StaticStageOptions

# Where the data sets lie, unless an option or an environment variable says otherwise.
RE10K_PATH = Path("data/RealEstate10K")
CO3D_PATH = Path("data/CO3D")
DAVIS_PATH = Path("data/DAVIS")
VOS_PATH = Path("data/YouTube-VOS")
FRAMES_PATH = Path("data/clips")

PATHS = DatasetPaths(
    "configs/options.py",
    {
        "re10k": RE10K_PATH,
        "co3d": CO3D_PATH,
        "davis": DAVIS_PATH,
        "vos": VOS_PATH,
        "frames": FRAMES_PATH,
    },
)
"""The constants together."""

Options = training_commands(SampleOptions, StaticStageOptions, RunOptions, OptimizerOptions)
"""The subcommands. The defaults are the published recipe on each of 8 GPUs."""
