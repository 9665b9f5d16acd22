"""Command line of stage 2, ``train_decoder.py``."""

from __future__ import annotations

from configs import options
from configs.datasets import DatasetPaths
from configs.training import ClipSampleOptions, training_commands
from core.training import DynamicOptimizerOptions, DynamicRunOptions, DynamicStageOptions

# Where the data sets lie, unless an option or an environment variable says otherwise: as in
# stage 1, or wherever is written here instead.
RE10K_PATH = options.RE10K_PATH
CO3D_PATH = options.CO3D_PATH
DAVIS_PATH = options.DAVIS_PATH
VOS_PATH = options.VOS_PATH
FRAMES_PATH = options.FRAMES_PATH

PATHS = DatasetPaths(
    "configs/options_decoder.py",
    {
        "re10k": RE10K_PATH,
        "co3d": CO3D_PATH,
        "davis": DAVIS_PATH,
        "vos": VOS_PATH,
        "frames": FRAMES_PATH,
    },
)
"""The constants together."""

Options = training_commands(
    ClipSampleOptions, DynamicStageOptions, DynamicRunOptions, DynamicOptimizerOptions
)
"""The subcommands. The defaults are the published recipe on each of 8 GPUs."""
