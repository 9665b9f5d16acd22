"""Inverse depth with its certainty, and how two of them become one."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from core.types import TensorDataclass

SMALLEST = 0.02
"""Inverse depth below which a relative deviation counts as one of this, unit of the stream."""
_CONTRADICTION = 9.0
"""Squared difference, in variances, from which on the older of two values counts little."""
_LITTLE = 0.1


@dataclass(frozen=True)
class DepthMap(TensorDataclass):
    """Inverse depth of a key frame, in the unit of the stream."""

    inverse_depth: Float[Tensor, "h w"]
    """At least 0; large is near."""
    certainty: Float[Tensor, "h w"]
    """Its inverse variance; 0 where nothing is known."""

    @property
    def relative_certainty(self) -> Float[Tensor, "h w"]:
        """Squared ratio of an inverse depth to its deviation."""
        return self.certainty * self.inverse_depth.clamp_min(SMALLEST).square()


def fuse(older: DepthMap, newer: DepthMap) -> DepthMap:
    """Return the mean of two maps, weighted by their certainty; where they differ, the newer."""
    squared = (older.inverse_depth - newer.inverse_depth).square()
    # d^2 > 9 (1/a + 1/b), without dividing by a certainty of 0.
    product = older.certainty * newer.certainty
    differ = squared * product > _CONTRADICTION * (older.certainty + newer.certainty)
    weight = older.certainty * (1 - (1 - _LITTLE) * differ.float())
    certainty = weight + newer.certainty
    total = weight * older.inverse_depth + newer.certainty * newer.inverse_depth
    return DepthMap(total / certainty.clamp_min(1e-9), certainty)
