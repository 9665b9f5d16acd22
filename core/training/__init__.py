"""Training: one loop, one file for each stage.

Read :func:`core.training.run.train`, then :class:`core.training.loop.Trainer`. Imports point from
the left to the right: run, loop, plan; reporting, feeding, compute; stages; workspace; distributed;
options.
"""

from core.training.compute.optimizer import DynamicOptimizerOptions, OptimizerOptions
from core.training.feeding.sources import DataOptions, DatasetOptions
from core.training.loop import Outcome
from core.training.options import DynamicRunOptions, ReportOptions, RunOptions
from core.training.run import train
from core.training.stages.dynamic import DynamicStage, DynamicStageOptions
from core.training.stages.static import StaticStage, StaticStageOptions

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
