"""One loop, a stage a file: what turns networks and samples into trained networks."""

from core.training.compute.optimizer import DynamicOptimizerOptions, OptimizerOptions
from core.training.feeding.sources import DataOptions
from core.training.loop import Outcome
from core.training.options import DynamicRunOptions, ReportOptions, RunOptions
from core.training.run import train
from core.training.stages.dynamic import DynamicStage, DynamicStageOptions
from core.training.stages.static import StaticStage, StaticStageOptions

__all__ = [
    "DataOptions",
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
