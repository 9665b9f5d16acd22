"""What a layout yields: rectangles, bodies that may move, light, and how the camera is held."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.procedural.perspective.quads import Quads
from core.types import TensorDataclass

NUM_BODIES = 6
"""Bodies of a scene that may move, beside the one that stands still."""


@dataclass(frozen=True)
class Viewpoint(TensorDataclass):
    """How the camera is held at the reference time, 0.5."""

    focal: Float[Tensor, " b"]
    """Focal length in half widths."""
    height: Float[Tensor, " b"]
    """Metres above the ground."""
    tilt: Float[Tensor, "b 3"]
    """Yaw, which is 0, pitch and roll in radians; a positive pitch looks down."""

    @property
    def position(self) -> Float[Tensor, "b 3"]:
        """World coordinates."""
        return torch.stack([0.0 * self.height, -self.height, 0.0 * self.height], dim=-1)


@dataclass(frozen=True)
class Illumination(TensorDataclass):
    """Where light comes from."""

    ambient: Float[Tensor, " b"]
    """Light that comes from everywhere."""
    sun: Float[Tensor, "b 3"]
    """World vector towards a distant light, as long as the light is strong."""
    lamp: Float[Tensor, "b 3"]
    """World coordinates of a near light."""
    lamp_color: Float[Tensor, "b 3"]
    """Its RGB, as strong as it is close by."""

    def exposed(self, level: float) -> Illumination:
        """Return the same light, about as bright as ``level`` on most surfaces."""
        typical = self.ambient + 0.4 * self.sun.norm(dim=-1) + 0.15 * self.lamp_color.mean(dim=-1)
        gain = level / typical
        return Illumination(
            ambient=gain * self.ambient,
            sun=gain[:, None] * self.sun,
            lamp=self.lamp,
            lamp_color=gain[:, None] * self.lamp_color,
        )


@dataclass(frozen=True)
class MovableBodies(TensorDataclass):
    """What may move on its own, one row for each of :data:`NUM_BODIES`."""

    pivots: Float[Tensor, "b m 3"]
    """World coordinates of the points about which they turn."""
    headings: Float[Tensor, "b m 3"]
    """Unit vectors along which they go."""
    present: Bool[Tensor, "b m"]
    """Which of them there are."""


@dataclass(frozen=True)
class World(TensorDataclass):
    """``b`` scenes as they are at the reference time."""

    solids: Quads
    """Whole rectangles."""
    cutouts: Quads
    """Rectangles from which outlines are cut."""
    bodies: MovableBodies
    """What may move."""
    viewpoint: Viewpoint
    """The camera."""
    illumination: Illumination
    """The light."""
