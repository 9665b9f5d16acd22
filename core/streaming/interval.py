"""The scene between two consecutive key frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from core.geometry.motion import freeze_at
from core.types import DynamicGaussians


@dataclass(frozen=True)
class Interval:
    """What lives between two consecutive key frames, or at a key frame that stands alone.

    Pair time is 0 at the first key frame and 1 at the second; stream time is what the frames were
    pushed with.
    """

    first: int
    """Number of the key frame at pair time 0, counted from 0 since the stream began."""
    second: int
    """Number of the key frame at pair time 1; ``first`` again for a shot of one key frame."""
    first_time: float
    """Stream time of the first key frame."""
    second_time: float
    """Stream time of the second key frame."""
    gaussians: DynamicGaussians
    """One scene over pair times in [0, 1]: the Gaussians of the first key frame with their forward
    deformation, as many of the second one with their backward deformation (both as the model
    decodes the pair), then :attr:`num_survivors` others. A shot of one key frame has its static
    Gaussians only."""
    opens: bool
    """Whether its first key frame is the first of a shot."""
    num_survivors: int = 0
    """How many of the Gaussians, the last ones, are kept from earlier key frames; they stand
    still. Places of the pool that are not taken have opacity 0."""
    ended: DynamicGaussians | None = None
    """What :attr:`gaussians` no longer holds of the interval before, as it was there. None where a
    shot begins."""

    @property
    def is_still(self) -> bool:
        """Whether it is a single key frame."""
        return self.first == self.second

    @property
    def num_first(self) -> int:
        """How many of the Gaussians, the first ones, are those of the first key frame."""
        own = self.gaussians.num_gaussians - self.num_survivors
        return own if self.is_still else own // 2

    @cached_property
    def fading(self) -> DynamicGaussians | None:
        """What ended at the first key frame, standing still as it was then.

        It fades out within the first moments. None where a shot begins.
        """
        return None if self.ended is None else stand_still(self.ended, 1.0)

    def pair_time(self, time: float) -> float:
        """Return the pair time at a stream time."""
        return 0.0 if self.is_still else (time - self.first_time) / self.duration

    @property
    def duration(self) -> float:
        """Stream time from the first key frame to the second."""
        return self.second_time - self.first_time


def stand_still(gaussians: DynamicGaussians, pair_time: float) -> DynamicGaussians:
    """Return the scenes as they are at ``pair_time``, with room for as much motion as before."""
    still = freeze_at(gaussians, pair_time)
    return replace(still, motion=torch.zeros_like(gaussians.motion))
