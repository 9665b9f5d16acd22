"""Where the points of layers are seen: affine maps, and smooth waves that deform a layer.

View coordinates: x to the right in [-1, 1], y downwards in the same unit (half the width). A point
``q`` of a view shows the point ``p = s + d(s)`` of a layer, where ``s`` is the affine image of
``q`` and ``d`` a sum of sine waves, whose slopes together stay below 0.4. So ``s`` follows from
``p`` by the contraction ``s <- p - d(s)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.types import TensorDataclass

_ITERATIONS = 9
"""The error of the inverse shrinks to 0.4**9, 1/4000 of the deformation."""


@dataclass(frozen=True)
class LayerMaps(TensorDataclass):
    """The way between views and layers; ``batch`` is (b, v, l), or what is chosen of these.

    Deformations have ``k`` waves each.
    """

    to_view: Float[Tensor, "*batch 2 3"]
    """From ``s`` to the view, of (x, y, 1)."""
    from_view: Float[Tensor, "*batch 2 3"]
    """From the view to ``s``."""
    sweep: Float[Tensor, "*batch 2 3"]
    """How far ``s`` passes by a point of the view while the frame is exposed."""
    waves: Float[Tensor, "*batch k 5"]
    """Wave vector in radians, phase in radians, and amplitude of each wave."""

    def of_layer(self, layer: int) -> LayerMaps:
        """Reduce maps of (b, v, l) to one layer, with axes for the rows and columns of views."""
        return self.map(lambda values: values[:, :, layer, None, None])

    def at(self, layers: Int[Tensor, "b v h w"]) -> LayerMaps:
        """Return the maps of the layer of each point, for maps of (b, v, l)."""
        index = layers.flatten(2).long()[..., None]  # (b, v, h w, 1)

        def choose(values: Tensor) -> Tensor:
            flat = values.flatten(3)
            chosen = flat.gather(2, index.expand(-1, -1, -1, flat.shape[-1]))
            return chosen.unflatten(-1, values.shape[3:]).unflatten(2, layers.shape[2:])

        return self.map(choose)


def layer_from_view(
    maps: LayerMaps, x: Float[Tensor, "..."], y: Float[Tensor, "..."]
) -> Float[Tensor, "b v h w 2"]:
    """Return which points of a layer are at points of the views.

    Args:
        maps: Those of (b, v, 1, 1) or (b, v, h, w).
        x: View coordinates that broadcast with ``y`` to (b, v, h, w).
        y: See ``x``.
    """
    straight = apply_affine(maps.from_view, x, y)
    return straight + _deformation(maps.waves, straight)


def view_from_layer(
    maps: LayerMaps, points: Float[Tensor, "b v h w 2"]
) -> tuple[Float[Tensor, "b v h w 2"], Float[Tensor, "b v h w"]]:
    """Return where points of the layers are in the views.

    Args:
        maps: The maps of each point's layer.
        points: Points of the layers.

    Returns:
        Where they are seen, and how far from ``points`` that place maps to.
    """
    straight = points - _deformation(maps.waves, points)
    for _ in range(_ITERATIONS - 1):
        straight = points - _deformation(maps.waves, straight)
    residual = straight + _deformation(maps.waves, straight) - points
    return apply_affine(maps.to_view, *straight.unbind(-1)), residual.norm(dim=-1)


def apply_affine(
    matrices: Float[Tensor, "b v _ _ 2 3"], x: Float[Tensor, "..."], y: Float[Tensor, "..."]
) -> Float[Tensor, "b v h w 2"]:
    """Multiply (x, y, 1) with the matrices."""
    at_x, at_y, constant = matrices.unbind(-1)
    return at_x * x[..., None] + (at_y * y[..., None] + constant)


def _deformation(
    waves: Float[Tensor, "b v _ _ k 5"], at: Float[Tensor, "b v h w 2"]
) -> Float[Tensor, "b v h w 2"]:
    x, y = at[..., None].unbind(-2)  # (b, v, h, w, 1)
    swing = torch.addcmul(waves[..., 2], waves[..., 0], x).addcmul_(waves[..., 1], y).sin_()
    return (swing[..., None] * waves[..., 3:]).sum(dim=-2)
