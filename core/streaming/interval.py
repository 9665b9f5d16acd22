"""The scene between two consecutive key frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.geometry.cameras import Lens
from core.geometry.motion import freeze_at
from core.geometry.surfaces import surface_slopes
from core.types import DynamicGaussians


@dataclass(frozen=True)
class StreamFrame:
    """A frame of a stream."""

    time: float
    """Stream time."""
    name: str
    """What messages call it."""
    image: Float[Tensor, "1 3 h w"]
    """What the model sees, or would see, of it: RGB in [0, 1]."""


@dataclass(frozen=True)
class Interval:
    """The scene between two consecutive key frames, or of a shot of one key frame.

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
    frames: tuple[StreamFrame, ...] = ()
    """The frames after the first key frame, up to and with the second; the first one as well where
    the interval opens a shot. Each frame of a stream is in one interval."""
    num_survivors: int = 0
    """How many of the Gaussians, the last ones, are kept from earlier key frames; they stand
    still. Free places of the pool have opacity 0."""
    ended: DynamicGaussians | None = None
    """The Gaussians of the interval before that :attr:`gaussians` no longer holds, as they were
    there. None where a shot begins."""

    @property
    def is_static(self) -> bool:
        """Whether it is a shot of one key frame."""
        return self.first == self.second

    @property
    def num_first(self) -> int:
        """How many of the Gaussians, the first ones, are those of the first key frame."""
        own = self.gaussians.num_gaussians - self.num_survivors
        return own if self.is_static else own // 2

    @property
    def own_gaussians(self) -> DynamicGaussians:
        """The Gaussians without the survivors: what a scene file holds."""
        own = self.gaussians.num_gaussians - self.num_survivors
        return self.gaussians.select(slice(own), dim=1)

    def slopes(self, grid_size: tuple[int, int], lens: Lens) -> Float[Tensor, "1 n 2"]:
        """Return by how much the Gaussians recede; survivors face the input camera.

        Args:
            grid_size: Rows and columns of a key frame.
            lens: See :func:`core.geometry.surfaces.surface_slopes`.
        """
        own = surface_slopes(self.own_gaussians.means, grid_size, lens)
        return F.pad(own, (0, 0, 0, self.num_survivors))

    @cached_property
    def fading(self) -> DynamicGaussians | None:
        """:attr:`ended`, standing still as at the first key frame; None where a shot begins.

        It fades out at the beginning of the interval.
        """
        return None if self.ended is None else stand_still(self.ended, 1.0)

    @property
    def duration(self) -> float:
        """Stream time from the first key frame to the second."""
        return self.second_time - self.first_time

    def pair_time(self, time: float) -> float:
        """Return the pair time at a stream time."""
        return 0.0 if self.is_static else (time - self.first_time) / self.duration

    def is_key(self, frame: StreamFrame) -> bool:
        """Return whether one of :attr:`frames` is a key frame."""
        return frame.time in (self.first_time, self.second_time)


def stand_still(gaussians: DynamicGaussians, pair_time: float) -> DynamicGaussians:
    """Return the scenes as they are at ``pair_time``, with room for as much motion as before."""
    still = freeze_at(gaussians, pair_time)
    return replace(still, motion=torch.zeros_like(gaussians.motion))
