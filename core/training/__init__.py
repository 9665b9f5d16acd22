"""Training: one loop, one file for each stage.

Read :func:`core.training.run.train`, then :class:`core.training.loop.Trainer`. Imports point from
the left to the right: run, loop, plan; reporting, feeding, compute; stages; workspace; distributed;
options.
"""

from typing import TYPE_CHECKING

from core.lazy import offer
from core.training.compute.options import DynamicOptimizerOptions, OptimizerOptions
from core.training.feeding.options import DataOptions, DatasetOptions
from core.training.options import DynamicRunOptions, ReportOptions, RunOptions
from core.training.stages.options import DynamicStageOptions, StaticStageOptions

if TYPE_CHECKING:
    from core.training.loop import Outcome
    from core.training.run import train
    from core.training.stages.dynamic import DynamicStage
    from core.training.stages.static import StaticStage

__all__ = [
    "DataOptions",
    "DatasetOptions",
    "DynamicOptimizerOptions",
    "DynamicRunOptions",
    "DynamicStage",
    "DynamicStageOptions",
    "OptimizerOptions",
    "Outcome",
    "ReportOptions",
    "RunOptions",
    "StaticStage",
    "StaticStageOptions",
    "train",
]

__getattr__ = offer(
    __name__,
    {
        "core.training.loop": ["Outcome"],
        "core.training.run": ["train"],
        "core.training.stages.dynamic": ["DynamicStage"],
        "core.training.stages.static": ["StaticStage"],
    },
)
