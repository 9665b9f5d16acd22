"""Heads: features of the Gaussian grid become Gaussians, their motion and opacity windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.geometry.canonical import pixel_centers
from core.models.transformer.truncated_gaussian import TanhHead, TruncatedGaussianHead
from core.types import DynamicGaussians, TensorDataclass

_MIN_OPACITY = 0.05
"""Opacity at the anchor time that the static head never goes below."""
_SCALE_UNIT = 0.1
"""Canonical length of a unit of the scale head's softplus."""
_MOTION_REACH = (0.5, 0.1, 0.5)
"""Largest motion coefficient along x, inverse depth and z."""
_HALF_LIFE = 0.5


class StaticHeads(nn.Module):
    """One Linear layer each for colour, opacity and scale, and a position head.

    Each Gaussian belongs to a cell of the grid and stays inside it, a cell being ``2 / columns``
    wide: ``x = x_cell + v_x / columns``, ``z = z_cell + v_z / rows``. Always in float32.
    """

    x_map: Tensor
    z_map: Tensor
    identity: Tensor

    def __init__(
        self, grid: tuple[int, int], width: int, position: TruncatedGaussianHead | TanhHead
    ) -> None:
        super().__init__()
        self.grid = grid
        self.color = nn.Linear(width, 3)
        self.opacity = nn.Linear(width, 1)
        self.scale = nn.Linear(width, 2)
        self.position = position
        x_map, z_map = pixel_centers(*grid)
        self.register_buffer("x_map", x_map.flatten())
        self.register_buffer("z_map", z_map.flatten())
        # On the device beforehand: a CUDA graph cannot fetch it from the host.
        self.register_buffer("identity", torch.tensor((1.0, 0.0, 0.0, 0.0)), persistent=False)

    def forward(
        self,
        features: Float[Tensor, "b n c"],
        *,
        sample: bool,
    ) -> DynamicGaussians:
        """Decode Gaussians that neither move nor fade, anchored at time 0.

        Args:
            features: Features of the grid's cells, row-major.
            sample: Draw the positions from their distribution instead of taking the mean.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            position = cast("list[nn.Linear]", self.position.layers(sample=sample))
            colors, opacities, scales, *values = _apply_together(
                [self.color, self.opacity, self.scale, *position], features
            )
            opacities = _MIN_OPACITY + (1 - _MIN_OPACITY) * opacities.sigmoid()
            scale_x, scale_z = (_SCALE_UNIT * F.softplus(scales)).unbind(-1)
            means = self._place(self.position.decide(*values))
        batch, count = features.shape[:2]
        zeros = means.new_zeros(batch, count)
        quats = self.identity.expand(batch, count, 4)
        return DynamicGaussians(
            means=means,
            motion=means.new_zeros(batch, count, 0, 3),
            scales=torch.stack((scale_x, (scale_x + scale_z) / 2, scale_z), dim=-1),
            quats=quats,
            colors=colors.sigmoid(),
            opacities=opacities.squeeze(-1),
            opacity_slopes=zeros,
            opacity_half_lives=torch.full_like(zeros, _HALF_LIFE),
            anchor_times=zeros,
        )

    def _place(self, values: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 3"]:
        rows, columns = self.grid
        x = self.x_map + values[..., 0] / columns
        inverse_depth = 0.5 + 0.5 * values[..., 1]
        z = self.z_map + values[..., 2] / rows
        return torch.stack((x, inverse_depth, z), dim=-1)


def _apply_together(
    layers: Sequence[nn.Linear], features: Float[Tensor, "b n c"]
) -> tuple[Tensor, ...]:
    """Return the outputs of linear layers; one product reads the features once."""
    weight = torch.cat([layer.weight for layer in layers])
    sizes = [layer.out_features for layer in layers]
    biases = (
        weight.new_zeros(size) if layer.bias is None else layer.bias
        for layer, size in zip(layers, sizes, strict=True)
    )
    bias = torch.cat(list(biases))
    return F.linear(features, weight, bias).split(sizes, dim=-1)


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
        self.register_buffer("motion_reach", torch.tensor(_MOTION_REACH))

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
