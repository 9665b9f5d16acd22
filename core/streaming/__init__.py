"""Key frames chained into intervals, causally, with state that does not grow with the video."""

from core.streaming.pairs import Interval, KeyInputs, PairModel, PairReconstructor

__all__ = ["Interval", "KeyInputs", "PairModel", "PairReconstructor"]
