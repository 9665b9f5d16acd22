"""Inverse depth with its certainty, and how two of them become one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

_CONTRADICTION = 9.0
"""Squared difference, in variances, from which on the older of two values counts little."""
_LITTLE = 0.1


@dataclass(frozen=True)
class DepthMap:
    """Inverse depth of a key frame, in the unit of the stream."""

    inverse_depth: Float32[np.ndarray, "h w"]
    """At least 0; large is near."""
    certainty: Float32[np.ndarray, "h w"]
    """Its inverse variance; 0 where nothing is known."""

    @property
    def relative_certainty(self) -> Float32[np.ndarray, "h w"]:
        """Squared ratio of an inverse depth to its deviation."""
        return self.certainty * np.maximum(self.inverse_depth, np.float32(0.02)) ** 2


def fuse(older: DepthMap, newer: DepthMap) -> DepthMap:
    """Return the mean of two maps, weighted by their certainty; where they differ, the newer."""
    squared = (older.inverse_depth - newer.inverse_depth) ** 2
    # d^2 > 9 (1/a + 1/b), without dividing by a certainty of 0.
    product = older.certainty * newer.certainty
    both = older.certainty + newer.certainty
    differ = squared * product > _CONTRADICTION * both
    weight = np.where(differ, older.certainty * np.float32(_LITTLE), older.certainty)
    certainty = weight + newer.certainty
    total = weight * older.inverse_depth + newer.certainty * newer.inverse_depth
    return DepthMap(total / np.maximum(certainty, np.float32(1e-9)), certainty)
