"""One interval of a scene on a clock of seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.types import DynamicGaussians

_ROUNDING = 1e-6
"""Seconds by which times may differ that mean the same."""


@dataclass(frozen=True)
class TimedScene:
    """The scene from one key frame to the next, or of a shot of one key frame."""

    gaussians: DynamicGaussians
    """One scene over pair times in [0, 1]."""
    start: float
    """When its first key frame is, seconds."""
    end: float
    """When its second key frame is; ``start`` for a shot of one key frame."""
    until: float
    """How long its last state is shown: until the next interval starts, seconds."""

    def pair_time(self, seconds: float) -> float:
        """Return the pair time of the state that is shown at ``seconds``."""
        if self.end <= self.start:
            return 0.0
        return min(max((seconds - self.start) / (self.end - self.start), 0.0), 1.0)


def frames_of(scenes: Iterable[TimedScene], fps: float) -> Iterator[tuple[float, TimedScene]]:
    """Yield evenly spaced times from the first scene's start on, and the scenes that show them."""
    number, begin = 0, None
    for scene in scenes:
        begin = scene.start if begin is None else begin
        while begin + number / fps < scene.until - _ROUNDING:
            yield begin + number / fps, scene
            number += 1
