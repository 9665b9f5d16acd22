"""How sure the difference of two methods is, from the clips it was measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

_RESAMPLES = 10_000
_SEED = 0
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Difference:
    """Mean of a score minus that of another method, over the clips that both have."""

    mean: float
    """The difference."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    clips: int
    """On how many clips."""


def paired_difference(
    scores: Float64[np.ndarray, " clips"], others: Float64[np.ndarray, " clips"]
) -> Difference:
    """Compare two methods on the same clips by a paired bootstrap.

    10,000 times as many clips are drawn with replacement, by NumPy's ``default_rng(0)``; the
    interval lies between the percentiles 2.5 and 97.5 of the mean differences.
    """
    differences = scores - others
    count = len(differences)
    drawn = np.random.default_rng(_SEED).integers(0, count, size=(_RESAMPLES, count))
    low, high = np.percentile(differences[drawn].mean(axis=1), _PERCENTILES)
    return Difference(float(differences.mean()), float(low), float(high), count)
