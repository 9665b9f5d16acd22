"""A frame once it has passed each network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.types import DynamicGaussians


@dataclass(frozen=True)
class KeyFrame:
    """Everything of ``b`` frames that a pair needs, whichever end of it they are."""

    tokens: Float[Tensor, "b l d"]
    """Encoder tokens."""
    features: Float[Tensor, "b n c"]
    """Static features on the Gaussian grid."""
    condition: Float[Tensor, "b m d"]
    """What the other frame of a pair attends to."""
    gaussians: DynamicGaussians
    """The frame's own Gaussians, static, anchored at time 0."""

    def map(self, function: Callable[[Tensor], Tensor]) -> KeyFrame:
        """Apply ``function`` to every tensor."""
        return KeyFrame(
            function(self.tokens),
            function(self.features),
            function(self.condition),
            self.gaussians.map(function),
        )

    def to(self, device: torch.device | str) -> KeyFrame:
        """Return the same frames on ``device``."""
        return self.map(lambda value: value.to(device))

    def detach(self) -> KeyFrame:
        """Return the same frames without their history."""
        return self.map(lambda value: value.detach())
