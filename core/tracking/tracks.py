"""Where points are at given times, and whether they are visible."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.types import TensorDataclass


@dataclass(frozen=True)
class PointTracks(TensorDataclass):
    """``n`` points at ``t`` times."""

    times: Float[Tensor, " t"]
    """Stream times, float64."""
    points: Float[Tensor, "t n 2"]
    """Pixel coordinates (u, v) in the input's frames, (0, 0) the centre of the first pixel; also of
    points that are hidden or outside of the frame. NaN before a point was asked for."""
    inverse_depths: Float[Tensor, "t n"]
    """Normalised inverse depth of the scene there, 1 is near; NaN before a point was asked for, and
    of one that was chosen between two shots."""
    visible: Bool[Tensor, "t n"]
    """Whether the point is inside the frame and nothing covers it."""

    @staticmethod
    def none(points: int, device: torch.device) -> PointTracks:
        """Return the tracks of so many points at no time at all."""
        numbers = torch.empty(0, points, device=device)
        times = torch.empty(0, dtype=torch.float64, device=device)
        return PointTracks(times, numbers[..., None].expand(0, points, 2), numbers, numbers.bool())
