"""The Gaussians of a key frame as groups of channels, without motion and opacity windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from core.scene_file.channels import Channel, Group, constant, quantize, shift
from core.scene_file.grades import Grade
from core.scene_file.records import damaged

STATIC_KINDS = range(1, 9)
"""Kinds of groups."""
COLOR, POSITION, INVERSE_DEPTH, SHAPE, SCALE_Y, ANGLE, QUATERNION, QUATERNION_W = STATIC_KINDS
INVERSE_DEPTH_REACH = (-1.0, 2.0)
"""Inverse depths beyond are stored as these: both are invalid."""
_ANGLES = 256
"""Levels of half a turn, after which a Gaussian looks the same."""
_UNIT_TOLERANCE = 1e-3
"""How far a quaternion may be from a rotation about the view axis that is stored as an angle."""


@dataclass(frozen=True)
class StaticGaussians:
    """Gaussians at their anchor, in the order of the grid's rows; units of DynamicGaussians."""

    means: Float[np.ndarray, "n 3"]
    scales: Float[np.ndarray, "n 3"]
    quats: Float[np.ndarray, "n 4"]
    colors: Float[np.ndarray, "n 3"]
    opacities: Float[np.ndarray, " n"]


def is_valid(inverse_depths: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which inverse depths are rendered."""
    return (inverse_depths >= 0) & (inverse_depths <= 1)


def quantize_static(
    gaussians: StaticGaussians, grid_size: tuple[int, int], grade: Grade
) -> list[Group]:
    """Quantise; whoever is rendered at the anchor before is rendered after, and nobody else."""
    x, z = cell_centers(grid_size)
    rows, columns = grid_size
    scales, means = gaussians.scales, gaussians.means
    sx, sy, sz = (scales[:, axis] for axis in range(3))
    groups = [
        Group(
            COLOR,
            tuple(quantize(gaussians.colors[:, i], grade.color) for i in range(3)),
            is_fast=(True, False),
        ),
        Group(
            POSITION,
            (
                quantize(means[:, 0] - x.astype(np.float64), grade.position * 2 / columns),
                quantize(means[:, 2] - z.astype(np.float64), grade.position * 2 / rows),
            ),
        ),
        Group(
            INVERSE_DEPTH,
            (_quantize_inverse_depths(means[:, 1], grade.inverse_depth),),
            is_fast=(False, True),
        ),
        Group(
            SHAPE,
            (
                quantize(_fourth_root(sx), grade.root_scale),
                quantize(_fourth_root(sz), grade.root_scale),
                quantize(gaussians.opacities, grade.opacity),
            ),
        ),
    ]
    if not np.allclose(sy, (sx + sz) / 2, rtol=1e-3, atol=0):
        groups.append(Group(SCALE_Y, (quantize(_fourth_root(sy), grade.root_scale),)))
    return groups + _quantize_rotations(gaussians.quats, grade)


def restore_static(
    groups: dict[int, Group], grid_size: tuple[int, int], where: str
) -> StaticGaussians:
    """Undo :func:`quantize_static`, up to rounding.

    Raises:
        UserError: If a group is missing or has another number of channels.
    """
    x, z = cell_centers(grid_size)
    dx, dz = values_of(groups, POSITION, 2, where)
    (inverse_depth,) = values_of(groups, INVERSE_DEPTH, 1, where)
    root_sx, root_sz, opacities = values_of(groups, SHAPE, 3, where)
    sx, sz = _fourth_power(root_sx), _fourth_power(root_sz)
    if SCALE_Y in groups:
        (root_sy,) = values_of(groups, SCALE_Y, 1, where)
        sy = _fourth_power(root_sy)
    else:
        sy = (sx + sz) * np.float32(0.5)
    return StaticGaussians(
        means=np.stack([x + dx, inverse_depth, z + dz], axis=-1),
        scales=np.stack([sx, sy, sz], axis=-1),
        quats=_restore_rotations(groups, len(x), where),
        colors=np.stack(values_of(groups, COLOR, 3, where), axis=-1).clip(0, 1),
        opacities=opacities.clip(0, 1),
    )


def cell_centers(
    grid_size: tuple[int, int],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the canonical x and z of the cells in row-major order, rounded to float32."""
    rows, columns = grid_size
    x = (2 * np.arange(columns) + 1) / columns - 1
    z = 1 - (2 * np.arange(rows) + 1) / rows
    x_map, z_map = np.meshgrid(x, z)
    return x_map.ravel().astype(np.float32), z_map.ravel().astype(np.float32)


def values_of(
    groups: dict[int, Group], kind: int, count: int, where: str
) -> Sequence[Float[np.ndarray, " n"]]:
    """Return the values of a group's channels.

    Raises:
        UserError: If the group is missing or has another number of channels.
    """
    if kind not in groups or len(groups[kind].channels) != count:
        raise damaged(where, f"group {kind} is missing or has not {count} channels")
    return [channel.values for channel in groups[kind].channels]


def _quantize_inverse_depths(values: Float[np.ndarray, " n"], step: float) -> Channel:
    channel = quantize(values.clip(*INVERSE_DEPTH_REACH), step, room=1)
    where, by = towards_validity(values, channel.values)
    return shift(channel, where, by)


def towards_validity(
    before: Float[np.ndarray, " n"], after: Float[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Return where rounding has changed who is rendered, and the sign of what would mend it.

    Args:
        before: Inverse depths as they are.
        after: The same, rounded.
    """
    where = (is_valid(before) != is_valid(after)).nonzero()[0]
    before, after = before[where], after[where]
    inwards, outwards = np.where(after < 0, 1, -1), np.where(before < 0, -1, 1)
    return where, np.where(is_valid(before), inwards, outwards)


def _quantize_rotations(quats: Float[np.ndarray, "n 4"], grade: Grade) -> list[Group]:
    """Return no group for identities, one for turns about the view axis, else two."""
    w, x, y, z = quats.astype(np.float64).T
    off_axis = max(np.abs(x).max(), np.abs(z).max(), np.abs(np.hypot(w, y) - 1).max())
    if off_axis > _UNIT_TOLERANCE:
        components = tuple(quantize(part, grade.quaternion) for part in (x, y, z))
        w_channel = quantize(w, grade.quaternion)
        return [Group(QUATERNION, components), Group(QUATERNION_W, (w_channel,))]
    if not y.any():
        return []
    turns = 2 * np.arctan2(y, w) / math.pi * (_ANGLES / grade.angle)
    levels = np.rint(turns).astype(np.int32) * grade.angle % _ANGLES
    step = float(np.float32(math.pi / _ANGLES))
    return [Group(ANGLE, (Channel(levels, 0.0, step),), is_fast=(True, True))]


def _restore_rotations(
    groups: dict[int, Group], count: int, where: str
) -> Float[np.ndarray, "n 4"]:
    if QUATERNION in groups:
        x, y, z = values_of(groups, QUATERNION, 3, where)
        (w,) = values_of(groups, QUATERNION_W, 1, where)
    elif ANGLE in groups:
        (angle,) = values_of(groups, ANGLE, 1, where)
        half = angle.astype(np.float64) / 2
        w, y = np.cos(half).astype(np.float32), np.sin(half).astype(np.float32)
        x = z = np.zeros_like(w)
    else:
        w, x, y, z = (constant(value, count).values for value in (1.0, 0.0, 0.0, 0.0))
    return np.stack([w, x, y, z], axis=-1)


def _fourth_root(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return np.maximum(values, 0) ** 0.25


def _fourth_power(roots: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    squares = roots * roots
    return squares * squares
