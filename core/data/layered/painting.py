"""Paints layers over one another, from far to near."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from core.data.layered.motion import LayerMaps, Points, apply_affine, layer_from_view
from core.data.layered.planes import Planes, look_up

_TAPS = (-0.4, -0.2, 0.2, 0.4)
"""Parts of the exposure at which what moves is looked up beside its middle."""
_SHADOW_CELL = 8
"""Texels that one sample of a shadow is the mean of, along each axis."""


class Painter:
    """Views of ``b`` samples, to which layer after layer is added.

    Args:
        maps: Where the background and the layers are in the views, of (b, v, l + 1).
        blurred: Positions of the samples in which motion blurs.
        sweep: How far layers pass by points of the views in these samples; see ``Paths.sweep``.
        planes: Sizes and coordinates.
        background: RGB of what covers everything.
        plane: Its inverse depth at (x, y, 1).
    """

    def __init__(
        self,
        maps: LayerMaps,
        blurred: Int[Tensor, " n"],
        sweep: Float[Tensor, "2 3 n v l"],
        planes: Planes,
        background: Float[Tensor, "b 3 th tw"],
        plane: Float[Tensor, "b 3"],
    ) -> None:
        self._maps = maps
        self._blurred = blurred
        self._sweep = sweep
        self._planes = planes
        points = layer_from_view(maps.of_layer(0), *planes.grid)
        self.colors: Float[Tensor, "b 3 v h w"] = self._look_up(
            background, planes.normalize(points), 0
        )
        """RGB."""
        self.inverse_depths: Float[Tensor, "b v h w"] = _inverse_depth(plane, points)
        """Inverse depth of the foremost layer that covers at least half of a pixel."""
        self.layers: UInt8[Tensor, "b v h w"] = torch.zeros_like(
            self.inverse_depths, dtype=torch.uint8
        )
        """Which layer that is."""

    def add(
        self,
        layer: int,
        texture: Float[Tensor, "b 4 th tw"],
        plane: Float[Tensor, "b 3"],
        shadow: Float[Tensor, "b 3"],
    ) -> None:
        """Paint a layer and its shadow over what is there.

        Args:
            layer: Its position, from 1; the background is 0.
            texture: RGB and opacity.
            plane: Inverse depth at (x, y, 1).
            shadow: Offset of the shadow from the layer, and its opacity.
        """
        points = layer_from_view(self._maps.of_layer(layer), *self._planes.grid)
        where = self._planes.normalize(points)
        self._cast(texture[:, 3:], where, shadow)
        color, alpha = self._look_up(texture, where, layer).split([3, 1], dim=1)
        self.colors.lerp_(color, alpha)
        covered = alpha[:, 0] >= 0.5
        self.inverse_depths = torch.where(
            covered, _inverse_depth(plane, points), self.inverse_depths
        )
        self.layers.masked_fill_(covered, layer)

    def _look_up(
        self, texture: Float[Tensor, "b c th tw"], where: Float[Tensor, "b v h w 2"], layer: int
    ) -> Float[Tensor, "b c v h w"]:
        found = look_up(texture, where)
        rows = self._blurred
        if len(rows):
            sweep = self._sweep[..., layer, None, None]
            passed = self._planes.normalize(apply_affine(sweep, *self._planes.grid))
            texture, where, blurred = texture[rows], where[rows], found[rows]
            for tap in _TAPS:
                blurred += look_up(texture, torch.add(where, passed, alpha=tap))
            found.index_copy_(0, rows, blurred.div_(1 + len(_TAPS)))
        return found

    def _cast(
        self,
        alpha: Float[Tensor, "b 1 th tw"],
        where: Float[Tensor, "b v h w 2"],
        shadow: Float[Tensor, "b 3"],
    ) -> None:
        soft = F.avg_pool2d(alpha, _SHADOW_CELL, ceil_mode=True)
        soft = F.avg_pool2d(soft, 3, stride=1, padding=1)
        offset, darkness = shadow.split([2, 1], dim=-1)
        away = (offset * self._planes.scale)[:, None, None, None]
        dark = look_up(soft, where - away) * darkness[..., None, None, None]
        self.colors.mul_(1.0 - dark)


def _inverse_depth(plane: Float[Tensor, "b 3"], points: Points) -> Float[Tensor, "b v h w"]:
    at_x, at_y, level = plane[:, None, None, None].unbind(-1)
    return torch.addcmul(level, at_x, points[0]).addcmul_(at_y, points[1])
