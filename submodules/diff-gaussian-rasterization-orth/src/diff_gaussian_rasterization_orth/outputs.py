"""What the rasteriser returns."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Rasterization(NamedTuple):
    """Images of ``b`` scenes at ``t`` times each."""

    rgb: Float[Tensor, "b t 3 h w"]
    """Colours blended front to back over the background."""
    depth: Float[Tensor, "b t 1 h w"]
    """Sum of depth times blending weight; not divided by alpha, no background."""
    alpha: Float[Tensor, "b t 1 h w"]
    """Sum of blending weights, in [0, 1]."""
