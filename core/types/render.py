"""What the renderer returns."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from core.types.tensor_dataclass import TensorDataclass


@dataclass(frozen=True)
class RenderOutput(TensorDataclass):
    """Images of ``b`` scenes at ``t`` times each."""

    rgb: Float[Tensor, "b t 3 h w"]
    """Colours blended over the background; in [0, 1] where colours and background are."""
    depth: Float[Tensor, "b t 1 h w"]
    """Sum of alpha-weighted depths in canonical units, not divided by alpha."""
    alpha: Float[Tensor, "b t 1 h w"]
    """Accumulated opacity in [0, 1]."""
