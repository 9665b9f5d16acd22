"""A frame once it has passed each network."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from core.types import DynamicGaussians, TensorDataclass


@dataclass(frozen=True)
class KeyFrame(TensorDataclass):
    """Everything of ``b`` frames that a pair needs, whichever end of it they are."""

    tokens: Float[Tensor, "b l d"]
    """Encoder tokens."""
    features: Float[Tensor, "b n c"]
    """Static features on the Gaussian grid."""
    condition: Float[Tensor, "b m d"]
    """What the other frame of a pair attends to."""
    gaussians: DynamicGaussians
    """The frame's own Gaussians, static, anchored at time 0."""
