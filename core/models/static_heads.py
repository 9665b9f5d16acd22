"""Features of the Gaussian grid become static Gaussians."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.geometry.canonical import pixel_centers
from core.models.config import MIN_OPACITY
from core.types import DynamicGaussians

SCALE_UNIT = 0.1
"""Canonical length of a unit of the scale head's softplus."""
_HALF_LIFE = 0.5


class StaticHeads(nn.Module):
    """One Linear layer each for colour, opacity and scale, and a position head.

    Each Gaussian belongs to a cell of the grid and stays inside it, a cell being ``2 / columns``
    wide: ``x = x_cell + v_x / columns``, ``z = z_cell + v_z / rows``. Always in float32.
    """

    x_map: Tensor
    z_map: Tensor
    identity: Tensor

    def __init__(self, grid: tuple[int, int], width: int, position: nn.Module) -> None:
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
        color_logits: Float[Tensor, "b n 3"] | None,
        *,
        sample: bool,
    ) -> DynamicGaussians:
        """Decode Gaussians that neither move nor fade, anchored at time 0.

        Args:
            features: Features of the grid's cells, row-major.
            color_logits: Added to the colour head before its sigmoid.
            sample: Draw the positions from their distribution instead of taking the mean.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            colors, opacities, scales = self._values(features)
            if color_logits is not None:
                colors = colors + color_logits
            opacities = MIN_OPACITY + (1 - MIN_OPACITY) * opacities.sigmoid()
            scale_x, scale_z = (SCALE_UNIT * F.softplus(scales)).unbind(-1)
            means = self._place(self.position(features, sample=sample))
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

    def _values(self, features: Float[Tensor, "b n c"]) -> tuple[Tensor, ...]:
        """Return what the three layers say, in one product: the features are what is long."""
        layers = (self.color, self.opacity, self.scale)
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        sizes = [layer.out_features for layer in layers]
        return F.linear(features, weight, bias).split(sizes, dim=-1)

    def _place(self, values: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 3"]:
        rows, columns = self.grid
        x = self.x_map + values[..., 0] / columns
        inverse_depth = 0.5 + 0.5 * values[..., 1]
        z = self.z_map + values[..., 2] / rows
        return torch.stack((x, inverse_depth, z), dim=-1)
