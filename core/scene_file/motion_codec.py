"""Motion and opacity windows of a key frame's Gaussians within one interval, as groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.scene_file.channels import Channel, Group, quantize, shift
from core.scene_file.grades import Grade
from core.scene_file.key_frame_codec import towards_validity, values_of

WINDOW, MOTION = 15, 16
"""Kinds of groups; coefficient ``j`` of the motion is MOTION + j."""
MAX_DEGREE = 8
"""Most motion coefficients."""
_ROOM = 2
"""Levels by which the depth motion may be corrected."""


@dataclass(frozen=True)
class Dynamics:
    """How Gaussians move and fade away from their anchor; units of DynamicGaussians."""

    motion: Float[np.ndarray, "n k 3"]
    slopes: Float[np.ndarray, " n"]
    half_lives: Float[np.ndarray, " n"]


def quantize_dynamics(
    dynamics: Dynamics,
    inverse_depths: Float[np.ndarray, " n"],
    stored_inverse_depths: Float[np.ndarray, " n"],
    far_end: float,
    grid_size: tuple[int, int],
    grade: Grade,
) -> list[Group]:
    """Quantise; who is rendered at the other key frame before is so after, and nobody else.

    Args:
        dynamics: One interval's.
        inverse_depths: At the anchor.
        stored_inverse_depths: The same as they are read from the file.
        far_end: Time of the other key frame since the anchor, 1 or -1.
        grid_size: Rows and columns.
        grade: Steps of quantisation.
    """
    rows, columns = grid_size
    motion = dynamics.motion
    across, down = grade.motion * 2 / columns, grade.motion * 2 / rows
    degree = motion.shape[1]
    along = [
        quantize(motion[:, j, 1], grade.motion_inverse_depth, room=_ROOM) for j in range(degree)
    ]
    if degree:
        powers = far_end ** np.arange(1, degree + 1)
        before = inverse_depths + motion[:, :, 1].astype(np.float64) @ powers
        along[0] = _keep_validity(along, before, stored_inverse_depths, powers)
    groups = [
        Group(
            MOTION + j,
            (quantize(motion[:, j, 0], across), along[j], quantize(motion[:, j, 2], down)),
            is_fast=(j > 0, True),
        )
        for j in range(degree)
    ]
    slopes = quantize(np.sqrt(np.maximum(dynamics.slopes, 0)), grade.root_slope)
    # Without a slope the half-life has no effect: let it be what costs least.
    fades = slopes.values > 0
    usual = dynamics.half_lives[fades].mean() if fades.any() else 0.5
    half_lives = np.where(fades, dynamics.half_lives, usual)
    windows = (slopes, quantize(half_lives, grade.half_life))
    return [*groups, Group(WINDOW, windows, is_fast=(True, True))]


def dynamic_kinds(degree: int) -> tuple[int, ...]:
    """Return the kinds of groups of dynamics with ``degree`` motion coefficients."""
    return (WINDOW, *range(MOTION, MOTION + degree))


def restore_dynamics(groups: dict[int, Group], degree: int, where: str) -> Dynamics:
    """Undo :func:`quantize_dynamics`, up to rounding.

    Raises:
        UserError: If a group is missing or has another number of channels.
    """
    root_slopes, half_lives = values_of(groups, WINDOW, 2, where)
    motion = np.zeros((len(root_slopes), degree, 3), np.float32)
    for j in range(degree):
        motion[:, j] = np.stack(values_of(groups, MOTION + j, 3, where), axis=-1)
    return Dynamics(motion, root_slopes * root_slopes, half_lives.clip(0, 1))


def _keep_validity(
    along: list[Channel],
    before: Float[np.ndarray, " n"],
    anchors: Float[np.ndarray, " n"],
    powers: Float[np.ndarray, " k"],
) -> Channel:
    """Correct the first coefficient where rounding moves an end across 0 or 1."""
    first = along[0]
    others = [c.values * power for c, power in zip(along[1:], powers[1:], strict=True)]
    for _ in range(_ROOM):
        after = anchors + sum([first.values * powers[0], *others])
        where, by = towards_validity(before, after)
        first = shift(first, where, by * int(powers[0]))
    return first
