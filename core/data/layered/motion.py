"""Where the points of layers are seen: affine maps, and smooth waves that deform a layer.

View coordinates: x to the right in [-1, 1], y downwards in the same unit (half the width). A point
``q`` of a view shows the point ``p = s + d(s)`` of a layer, where ``s`` is the affine image of
``q`` and ``d`` a sum of sine waves, whose slopes together stay below 0.4. So ``s`` follows from
``p`` by the contraction ``s <- p - d(s)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from core.types import TensorDataclass

Points = tuple[Float[Tensor, "..."], Float[Tensor, "..."]]
"""x and y of points, of a layer or of views."""
_ITERATIONS = 9
"""The error of the inverse shrinks to 0.4**9, 1/4000 of the deformation."""


@dataclass(frozen=True)
class LayerMaps(TensorDataclass):
    """The way between views and layers; ``batch`` is (b, v, l), or what is chosen of these.

    Numbers of a kind lie side by side, since all that is done with them goes along the pixels.
    """

    to_view: Float[Tensor, "2 3 *batch"]
    """From ``s`` to the view, of (x, y, 1)."""
    from_view: Float[Tensor, "2 3 *batch"]
    """From the view to ``s``."""
    waves: Float[Tensor, "k 5 *batch"]
    """Wave vector in radians, phase in radians, and amplitude of each wave."""

    def of_layer(self, layer: int) -> LayerMaps:
        """Reduce maps of (b, v, l) to one layer, with axes for the rows and columns of views."""
        return self.map(lambda values: values[..., layer, None, None])

    def at(self, layers: UInt8[Tensor, "b v h w"]) -> LayerMaps:
        """Return the maps of the layer of each point, for maps of (b, v, l)."""
        index = layers.flatten(2).long()  # (b, v, h w)

        def choose(values: Tensor) -> Tensor:
            chosen = values.gather(-1, index.expand(*values.shape[:2], -1, -1, -1))
            return chosen.unflatten(-1, layers.shape[2:])

        return self.map(choose)


def layer_from_view(maps: LayerMaps, x: Tensor, y: Tensor) -> Points:
    """Return which points of a layer are at points of the views.

    Args:
        maps: Those of as many axes as the points have.
        x: View coordinates that broadcast with ``y`` to the points.
        y: See ``x``.
    """
    straight = apply_affine(maps.from_view, x, y)
    return _add_waves(straight, maps.waves, straight, 1.0)


def view_from_layer(maps: LayerMaps, points: Points) -> tuple[Points, Float[Tensor, "..."]]:
    """Return where points of the layers are in the views.

    Args:
        maps: The maps of each point's layer.
        points: Points of the layers.

    Returns:
        Where they are seen, and how far from ``points`` that place maps to.
    """
    straight = points
    for _ in range(_ITERATIONS):
        straight = _add_waves(points, maps.waves, straight, -1.0)
    x, y = _add_waves(straight, maps.waves, straight, 1.0)
    return apply_affine(maps.to_view, *straight), torch.hypot(x - points[0], y - points[1])


def apply_affine(matrices: Float[Tensor, "2 3 ..."], x: Tensor, y: Tensor) -> Points:
    """Multiply (x, y, 1) with the matrices."""
    (xx, xy, x0), (yx, yy, y0) = matrices
    return xx * x + (xy * y + x0), yx * x + (yy * y + y0)


def _add_waves(points: Points, waves: Float[Tensor, "k 5 ..."], at: Points, sign: float) -> Points:
    x, y = points
    for along_x, along_y, phase, size_x, size_y in waves:
        swing = torch.addcmul(phase, along_x, at[0]).addcmul_(along_y, at[1]).sin_()
        x = torch.addcmul(x, swing, size_x, value=sign)
        y = torch.addcmul(y, swing, size_y, value=sign)
    return x, y
