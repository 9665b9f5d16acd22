"""Frames in, a scene over time out: sessions, their intervals, and how these become one scene."""

from core.streaming.cuts import CutDetector
from core.streaming.fusion import render_interval, scene_at
from core.streaming.interval import Interval, StreamFrame
from core.streaming.pair_model import PairModel
from core.streaming.session import IncompleteShotError, Session
from core.streaming.stage_timer import StageTimer
from core.streaming.stored import StoredScene
from core.streaming.survivors import largest_pool

__all__ = [
    "CutDetector",
    "IncompleteShotError",
    "Interval",
    "PairModel",
    "Session",
    "StageTimer",
    "StoredScene",
    "StreamFrame",
    "largest_pool",
    "render_interval",
    "scene_at",
]
