"""Where points are, and whether they can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Tracks:
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
    """Whether the point is inside the frame and nothing else is seen in its place."""

    def at(self, index: int) -> Tracks:
        """Return the tracks at one of the times."""
        return Tracks(*(getattr(self, f.name)[index : index + 1] for f in fields(Tracks)))

    @staticmethod
    def none(points: int, device: torch.device) -> Tracks:
        """Return the tracks of so many points at no time at all."""
        numbers = torch.empty(0, points, device=device)
        times = torch.empty(0, dtype=torch.float64, device=device)
        return Tracks(times, numbers[..., None].expand(0, points, 2), numbers, numbers.bool())

    @staticmethod
    def cat(parts: Sequence[Tracks]) -> Tracks:
        """Put tracks of the same points one after the other."""
        return Tracks(
            *(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Tracks))
        )
