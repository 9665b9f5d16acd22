"""How finely attributes are quantised: steps, and the grades that are offered by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GradeName = Literal["fine", "small"]


@dataclass(frozen=True)
class Grade:
    """Steps of quantisation, each of the value as docs/format.md stores it.

    The largest error is half a step. The steps are chosen so that all attributes add about the same
    error to the picture.
    """

    color: float = 1 / 160
    """RGB in [0, 1]."""
    position: float = 1 / 32
    """Centres along x and z, in cells of the grid."""
    inverse_depth: float = 1 / 8192
    """Centres along the depth. The finest one, because it decides which Gaussian is in front."""
    root_scale: float = 1 / 240
    """Fourth root of standard deviations."""
    opacity: float = 1 / 48
    """Opacity in [0, 1]."""
    angle: int = 8
    """Rotation about the view axis, in 256ths of half a turn; a power of 2."""
    quaternion: float = 1 / 256
    """Components of other rotations."""
    motion: float = 1 / 12
    """Motion coefficients along x and z, in cells of the grid."""
    motion_inverse_depth: float = 1 / 2048
    """Motion coefficients along the depth."""
    root_slope: float = 1 / 8
    """Square root of the slope of the opacity window."""
    half_life: float = 1 / 32
    """Half-life of the opacity window, in [0, 1]."""

    def coarser(self, factor: int) -> Grade:
        """Return the grade with all steps ``factor`` times as wide; a power of 2."""
        steps = {name: step * factor for name, step in vars(self).items()}
        return Grade(**{**steps, "angle": min(self.angle * factor, 64)})


GRADES: dict[GradeName, Grade] = {"fine": Grade(), "small": Grade().coarser(4)}
"""The grades by name."""
