"""Paints layers over one another, from far to near, and follows what is seen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.layered.motion import (
    LayerMaps,
    Points,
    apply_affine,
    layer_from_view,
    view_from_layer,
)

_TAPS = (-0.4, -0.2, 0.2, 0.4)
"""Parts of the exposure at which what moves is looked up beside its middle."""
_SHADOW_CELL = 8
"""Texels that one sample of a shadow is the mean of, along each axis."""
_TOLERANCE_PX = 0.05
"""Largest error of motion that counts as known."""
_BEYOND = 0.25
"""How far outside the frame, in parts of it, motion may lead and counts as known."""


class Painter:
    """Views of ``b`` samples while layer after layer is added.

    Args:
        maps: Where the layers are in the ``v`` views.
        blurred: Positions of the samples in which motion blurs.
        image_size: Height and width of the views.
        plane_size: Height and width of the planes of the layers; texels are as large as pixels.
    """

    def __init__(
        self,
        maps: LayerMaps,
        blurred: Int[Tensor, " n"],
        image_size: tuple[int, int],
        plane_size: tuple[int, int],
    ) -> None:
        height, width = image_size
        b, v = maps.to_view.shape[2:4]
        device = maps.to_view.device
        self._maps = maps
        self._key_maps = maps.map(
            lambda values: torch.stack([values[..., 0, :], values[..., -1, :]], -2)
        )
        self._blurred = blurred
        self._image_size = image_size
        self._grid = _view_coordinates(image_size, image_size, device)
        self._half_grid = _view_coordinates((height // 2, width // 2), image_size, device)
        self._to_plane = torch.tensor([width / plane_size[1], width / plane_size[0]]).to(
            device, non_blocking=True
        )
        self.colors = torch.zeros(b, 3, v, height, width, device=device)
        """RGB."""
        self.inverse_depths = torch.zeros(b, v, height, width, device=device)
        """Inverse depth of the foremost layer that covers at least half of a pixel."""
        self.layers = torch.zeros(b, v, height, width, dtype=torch.uint8, device=device)
        """Which layer that is."""
        half = (b, 2, height // 2, width // 2)
        self._owners = torch.zeros(half, dtype=torch.uint8, device=device)
        self._owned: Points = (torch.zeros(half, device=device), torch.zeros(half, device=device))

    def add_background(
        self, color: Float[Tensor, "b 3 th tw"], plane: Float[Tensor, "b 3"]
    ) -> None:
        """Begin with a layer that covers everything.

        Args:
            color: RGB.
            plane: Inverse depth at (x, y, 1).
        """
        points = layer_from_view(self._maps.of_layer(0), *self._grid)
        self.colors = self._look_up(color, self._normalized(points), 0)
        self.inverse_depths = _inverse_depth(plane, points)
        self._owned = layer_from_view(self._key_maps.of_layer(0), *self._half_grid)

    def add(
        self,
        layer: int,
        texture: Float[Tensor, "b 4 th tw"],
        plane: Float[Tensor, "b 3"],
        shadow: Float[Tensor, "b 3"],
    ) -> None:
        """Paint a layer and its shadow over what is there.

        Args:
            layer: Its position among the layers, from 1.
            texture: RGB and opacity.
            plane: Inverse depth at (x, y, 1).
            shadow: Offset of the shadow from the layer, and its opacity.
        """
        points = layer_from_view(self._maps.of_layer(layer), *self._grid)
        where = self._normalized(points)
        self._cast(texture[:, 3:], where, shadow)
        color, alpha = self._look_up(texture, where, layer).split([3, 1], dim=1)
        self.colors = self.colors.lerp_(color, alpha)
        covered = alpha[:, 0] >= 0.5
        self.inverse_depths = torch.where(
            covered, _inverse_depth(plane, points), self.inverse_depths
        )
        self.layers.masked_fill_(covered, layer)

        points = layer_from_view(self._key_maps.of_layer(layer), *self._half_grid)
        covered = _sample(texture[:, 3:], self._normalized(points))[:, 0] >= 0.5
        self._owners.masked_fill_(covered, layer)
        (x, y), (owned_x, owned_y) = points, self._owned
        self._owned = torch.where(covered, x, owned_x), torch.where(covered, y, owned_y)

    def motion(self) -> tuple[Float[Tensor, "b 2 2 g_h g_w"], Bool[Tensor, "b 2 g_h g_w"]]:
        """Return how what is seen in the first and the last view moves until the other one.

        Returns:
            Canonical (x, z) displacements at the centres of blocks of 2 by 2 pixels, and where they
            are known: everywhere but where the deformation cannot be inverted, and where they lead
            far outside the frame.
        """
        (height, width), (x, y) = self._image_size, self._half_grid
        there = self._key_maps.map(lambda values: values.flip(-2)).at(self._owners)
        (there_x, there_y), residual = view_from_layer(there, self._owned)
        aspect = height / width
        within = (there_x.abs() <= 1.0 + 2.0 * _BEYOND) & (
            there_y.abs() <= (1.0 + 2.0 * _BEYOND) * aspect
        )
        known = within & (residual < 2.0 * _TOLERANCE_PX / width)
        # Canonical z is 1 at the upper border, view y is -height / width there.
        motion = torch.stack([there_x - x, (y - there_y) / aspect], dim=2)
        return torch.where(known[:, :, None], motion, 0.0), known

    def _normalized(self, points: Points) -> Float[Tensor, "b v h w 2"]:
        """Map points of the layers to [-1, 1] of their planes."""
        return torch.stack(points, dim=-1).mul_(self._to_plane)

    def _look_up(
        self, texture: Float[Tensor, "b c th tw"], where: Float[Tensor, "b v h w 2"], layer: int
    ) -> Float[Tensor, "b c v h w"]:
        found = _sample(texture, where)
        rows = self._blurred
        if len(rows):
            sweep = self._maps.sweep[:, :, rows, :, layer, None, None]
            passed = self._normalized(apply_affine(sweep, *self._grid))
            texture, where, blurred = texture[rows], where[rows], found[rows]
            for tap in _TAPS:
                blurred += _sample(texture, torch.add(where, passed, alpha=tap))
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
        away = (offset * self._to_plane)[:, None, None, None]
        dark = _sample(soft, where - away) * darkness[..., None, None, None]
        self.colors.mul_(1.0 - dark)


def _view_coordinates(
    grid: tuple[int, int], image_size: tuple[int, int], device: torch.device
) -> tuple[Float[Tensor, " w"], Float[Tensor, "h 1"]]:
    """Return x and y of the centres of a grid that covers the image."""
    aspect = image_size[0] / image_size[1]
    x = (2.0 * torch.arange(grid[1], device=device) + 1.0) / grid[1] - 1.0
    y = ((2.0 * torch.arange(grid[0], device=device) + 1.0) / grid[0] - 1.0) * aspect
    return x, y[:, None]


def _inverse_depth(plane: Float[Tensor, "b 3"], points: Points) -> Float[Tensor, "b v h w"]:
    at_x, at_y, level = plane[:, None, None, None].unbind(-1)
    return torch.addcmul(level, at_x, points[0]).addcmul_(at_y, points[1])


def _sample(
    texture: Float[Tensor, "b c th tw"], where: Float[Tensor, "b v h w 2"]
) -> Float[Tensor, "b c v h w"]:
    """Interpolate bilinearly; outside there is the texture's reflection."""
    found = F.grid_sample(
        texture, where.flatten(1, 2), padding_mode="reflection", align_corners=False
    )
    return found.unflatten(2, where.shape[1:3])
