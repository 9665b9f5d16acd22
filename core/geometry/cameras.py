"""Pinhole cameras for looking at a lifted scene: x right, y down, z forward (as COLMAP)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError


@dataclass(frozen=True)
class Lens:
    """What a pinhole camera sees: its field of view and the shape of its picture."""

    horizontal_fov_deg: float = 60.0
    """Angle between the left and the right edge of the picture, degrees in (0, 180)."""
    aspect: float = 288 / 512
    """Height of the picture divided by its width, both in the same unit of length."""

    def __post_init__(self) -> None:
        if not 0 < self.horizontal_fov_deg < 180:
            raise UserError(
                f"a horizontal field of view of {self.horizontal_fov_deg} degrees is impossible; "
                "it lies between 0 and 180, for example 60"
            )
        if self.aspect <= 0:
            raise ValueError(f"Lens: aspect is height over width, above 0; got {self.aspect}")

    @property
    def focal(self) -> float:
        """Focal length in units of half the width of the picture."""
        return 1.0 / math.tan(math.radians(self.horizontal_fov_deg) / 2)

    def zoomed(self, factor: float) -> Lens:
        """Return a lens that shows things ``factor`` times as large, and less around them."""
        half_angle = math.atan(1.0 / (self.focal * factor))
        return Lens(math.degrees(2 * half_angle), self.aspect)


def look_at(eye: Float[Tensor, " 3"], target: Float[Tensor, " 3"]) -> Float[Tensor, "4 4"]:
    """Return ``cam_from_world`` of a camera at ``eye`` that looks at ``target`` with y kept down.

    Looking from the origin along +z gives the identity. The view may not be vertical.
    """
    # In plain numbers: for so few, each call of PyTorch takes longer than all of this.
    place = eye.tolist()
    x, y, z = _unit([there - here for there, here in zip(target.tolist(), place, strict=True)])
    right_x, _, right_z = _unit([z, 0.0, -x])
    right, forward = [right_x, 0.0, right_z], [x, y, z]
    down = [y * right_z, z * right_x - x * right_z, -y * right_x]
    rows = [
        [*axis, -sum(a * b for a, b in zip(axis, place, strict=True))]
        for axis in (right, down, forward)
    ]
    return torch.tensor([*rows, [0.0, 0.0, 0.0, 1.0]])


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector]


@dataclass(frozen=True)
class Orbit:
    """A small ellipse around the input viewpoint, on which a camera keeps a point in its middle."""

    focus_depth: float
    """Distance of the point looked at, straight ahead of the input viewpoint, scene units."""
    radius: float
    """Horizontal half axis of the ellipse, scene units."""
    flatness: float = 0.4
    """Vertical half axis over the horizontal one."""

    def cam_from_world(self, phase: float) -> Float[Tensor, "4 4"]:
        """Return the pose at ``phase``, 0 to 1 around the ellipse; it begins on the right."""
        angle = 2 * math.pi * phase
        x, y = self.radius * math.cos(angle), self.radius * self.flatness * math.sin(angle)
        return look_at(torch.tensor([x, y, 0.0]), torch.tensor([0.0, 0.0, self.focus_depth]))


def fit_orbit(depths: Float[Tensor, " n"], lens: Lens, *, max_shift: float = 0.06) -> Orbit:
    """Choose an orbit whose parallax can be seen and opens few holes.

    The camera looks at the median depth F. Moving it sideways by t shifts what lies at depth Z by
    ``focal * t * |1/Z - 1/F|`` against the focus; t is chosen so that the nearest and the farthest
    five percent aside, nothing shifts by more than ``max_shift``.

    Args:
        depths: Depths of the scene's Gaussians, above 0; of none, the camera stands still.
        lens: The lens through which the orbit is seen.
        max_shift: Largest shift on the picture, in half widths.
    """
    if depths.numel() == 0:
        return Orbit(focus_depth=1.0, radius=0.0)
    focus = depths.median()
    low, high = torch.quantile(1 / depths, torch.tensor([0.05, 0.95], device=depths.device))
    reach = torch.maximum((low - 1 / focus).abs(), (high - 1 / focus).abs()).item()
    # A flat scene has no parallax whatever the camera does; 0.08 F turns it by about 5 degrees.
    radius = min(0.08 * focus.item(), max_shift / max(lens.focal * reach, 1e-6))
    return Orbit(focus_depth=focus.item(), radius=radius)
