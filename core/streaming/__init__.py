"""Frames in, a living scene out: sessions, their intervals, and how these become one scene."""

from core.models.fast.acceleration import FastDepth, FastModel
from core.streaming.cuts import CutDetector
from core.streaming.fusion import render_interval, scene_at
from core.streaming.intake import Intake
from core.streaming.interval import Interval
from core.streaming.pair_model import KeyInputs, PairModel
from core.streaming.session import Session
from core.streaming.stopwatch import Stopwatch
from core.streaming.survivors import largest_pool

__all__ = [
    "CutDetector",
    "FastDepth",
    "FastModel",
    "Intake",
    "Interval",
    "KeyInputs",
    "PairModel",
    "Session",
    "Stopwatch",
    "largest_pool",
    "render_interval",
    "scene_at",
]
