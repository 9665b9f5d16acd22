"""The direction in which a camera moved, from matches alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.least_squares import fit_robustly
from core.depth.motion.pose import NEAREST_Z, Pose, turn
from core.types import TensorDataclass

_DIRECTIONS = 96
"""Directions that are tried, evenly over half a sphere."""
_ROUNDS = 2
_EXPLAINED_PX = 0.5
_RULING_PX = 2.0
"""Parallax from which on a match counts no more for the sign of a translation."""
_FEWEST_EXPLAINED = 0.5


@dataclass(frozen=True)
class Found(TensorDataclass):
    """A pose with a translation of length 1, and what follows from it."""

    pose: Pose
    """From the first camera to the second."""
    inverse_depths: Float[Tensor, " n"]
    """Of the points, in its unit; negative behind the camera."""
    explained: Bool[Tensor, " n"]
    """Which matches lie near their epipolar lines."""
    is_found: Bool[Tensor, ""]
    """Whether most do."""


def find_translation(
    rays: Float[Tensor, "3 n"],
    seen: Float[Tensor, "2 n"],
    is_seen: Bool[Tensor, " n"],
    start: Pose,
    focal: Float[Tensor, "2"],
) -> Found:
    """Return the translation that explains most matches, of directions all around.

    For a direction, what flow leaves across the epipolar lines is linear in a small rotation, and
    has no depth in it (Heeger and Jepson 1992). That rotation is found for all directions at once,
    robustly (Geman and McClure 1985), and the direction with the least error taken.

    Args:
        rays: Where points are seen.
        seen: Where the second camera sees them, pixels from the centre.
        is_seen: Which points have a match.
        start: A pose that only turns, near to the true rotation.
        focal: Focal lengths, pixels.
    """
    rotated = start.rotation @ rays
    x, y = uv = rotated[:2] / rotated[2:].clamp_min(NEAREST_Z)
    flow = seen - focal[:, None] * uv
    of_turn = focal[:, None, None] * torch.stack((
        torch.stack((-x * y, 1 + x * x, -y)), torch.stack((-1 - y * y, x * y, x))
    ))  # (2, 3, n)  # fmt: skip
    directions = _directions(x.dtype, x.device)  # (k, 3)
    slope = focal[:, None] * (directions[:, :2, None] - uv * directions[:, 2:, None])  # (k, 2, n)
    length = slope.square().sum(dim=1).clamp_min(1e-12).sqrt()
    across = torch.stack((-slope[:, 1], slope[:, 0]), dim=1) / length[:, None]  # (k, 2, n)
    by_turn = (across[:, None] * of_turn.transpose(0, 1)).sum(dim=2)  # (k, 3, n)
    goal = (across * flow).sum(dim=1, keepdim=True)
    rows = torch.cat((by_turn, goal), dim=1)[:, :, None]
    mask = is_seen.to(x.dtype).expand(len(rows), -1)
    omega, squared = fit_robustly(rows, mask, _EXPLAINED_PX, _ROUNDS)
    cost = (mask * squared / (squared + _EXPLAINED_PX**2)).sum(dim=1)
    best = cost.argmin(dim=0, keepdim=True)
    omega, direction, slope, squared = (
        table.index_select(0, best)[0] for table in (omega, directions, slope, squared)
    )
    rest = flow - (of_turn * omega[:, None]).sum(dim=1)
    along = (slope * rest).sum(dim=0)
    explained = is_seen & (squared < _EXPLAINED_PX**2)
    length = slope.square().sum(dim=0).clamp_min(1e-12)
    # Distant points, whose sign is that of their noise, count little; one point does not rule.
    ruling = (along / length.sqrt()).clamp(-_RULING_PX, _RULING_PX)
    sign = torch.where((ruling * explained).sum() < 0, -1.0, 1.0).to(along)
    return Found(
        Pose(turn(omega) @ start.rotation, sign * direction),
        sign * along / length * rotated[2],
        explained,
        explained.sum() >= _FEWEST_EXPLAINED * is_seen.sum(),
    )


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _directions(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "k 3"]:
    """Return directions spread evenly over half a sphere (a spiral by the golden angle)."""
    i = torch.arange(_DIRECTIONS, dtype=torch.float64) + 0.5
    z = i / _DIRECTIONS
    angle = i * (torch.pi * (3 - 5**0.5))
    radius = (1 - z * z).sqrt()
    return torch.stack((radius * angle.cos(), radius * angle.sin(), z), dim=1).to(device, dtype)
