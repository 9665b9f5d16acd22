"""Features of a pair become motion and opacity windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.truncated_gaussian import TruncatedGaussianHead
from core.types import TensorDataclass

MOTION_REACH = (0.5, 0.1, 0.5)
"""Largest motion coefficient along x, inverse depth and z."""


@dataclass(frozen=True)
class GaussianDynamics(TensorDataclass):
    """What a pair adds to the static Gaussians of one frame."""

    motion: Float[Tensor, "b n k 3"]
    """Polynomial motion coefficients, canonical units."""
    opacity_slopes: Float[Tensor, "b n"]
    """Steepness of the opacity window, at least 0."""
    opacity_half_lives: Float[Tensor, "b n"]
    """Its midpoint, in (0, 1)."""


def three_layer_mlp(in_width: int, hidden: int, out_width: int) -> nn.Sequential:
    """Return three Linear layers with SiLU between them."""
    return nn.Sequential(
        nn.Linear(in_width, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, out_width),
    )


class DynamicHeads(nn.Module):
    """A truncated Gaussian for the motion and an MLP for the opacity window; in float32."""

    motion_reach: Tensor

    def __init__(self, motion: TruncatedGaussianHead, opacity_window: nn.Module) -> None:
        super().__init__()
        self.motion = motion
        self.opacity_window = opacity_window
        self.register_buffer("motion_reach", torch.tensor(MOTION_REACH))

    def forward(self, features: Float[Tensor, "b n c"], *, sample: bool) -> GaussianDynamics:
        """Decode the dynamics of each Gaussian.

        Args:
            features: Projected static features beside the dynamic ones.
            sample: Draw the motion from its distribution instead of taking the mean.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            values = self.motion(features, sample=sample)
            slope, half_life = self.opacity_window(features).unbind(-1)
            motion = rearrange(values, "b n (k xyz) -> b n k xyz", xyz=3) * self.motion_reach
        return GaussianDynamics(motion, slope.relu(), half_life.sigmoid())
