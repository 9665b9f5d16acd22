"""One loop, a stage a file: what turns networks and samples into trained networks."""

from core.training.data import DataOptions
from core.training.dynamic_stage import DynamicStage, DynamicStageOptions
from core.training.loop import Outcome, train
from core.training.optimizer import OptimizerOptions
from core.training.options import RunOptions
from core.training.static_stage import StaticStage, StaticStageOptions

__all__ = [
    "DataOptions",
    "DynamicStage",
    "DynamicStageOptions",
    "OptimizerOptions",
    "Outcome",
    "RunOptions",
    "StaticStage",
    "StaticStageOptions",
    "train",
]
