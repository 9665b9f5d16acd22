"""Draws the changes of each sample on the CPU, from (seed, position) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from core.data.augmentation.options import AugmentationOptions

_STREAM = 2
"""Keeps these numbers apart from those that choose frames; see core.data.sampling.order."""
_UNIFORMS, _NORMALS = 13, 7
_SLANT = 0.5
"""Probability that an anisotropic scaling goes along any direction rather than along the axes."""


@dataclass(frozen=True)
class Geometry:
    """An affine map of each of ``b`` images; x to the right and y downwards are in [-1, 1]."""

    source_from_output: Float[np.ndarray, "b 2 3"]
    """Multiplied with (x, y, 1) of the output, gives where in the source that point is found."""
    changes: Bool[np.ndarray, " b"]
    """Whether anything was drawn; where it was not, the map is the identity."""


@dataclass(frozen=True)
class Recoloring:
    """``linear @ color + offset``, for each of ``b`` images."""

    linear: Float[np.ndarray, "b 3 3"]
    """Applied to RGB in [0, 1]."""
    offset: Float[np.ndarray, " b"]
    """Added to all three channels."""
    changes: Bool[np.ndarray, " b"]
    """Whether anything was drawn; where it was not, colours stay."""


def draw(
    options: AugmentationOptions, *, seed: int, positions: Sequence[int], aspect: float
) -> tuple[Geometry, Recoloring]:
    """Draw the changes of the samples at ``positions`` of the stream of a seed.

    Every number is drawn whether it is used or not: an option turned off leaves the other changes
    of a sample as they were.

    Args:
        options: Probabilities and strengths.
        seed: Chooses the stream, at least 0.
        positions: Where in the stream each sample lies, at least 0.
        aspect: Height of the images over their width.
    """
    generators = [np.random.default_rng((seed, position, _STREAM)) for position in positions]
    uniforms = np.stack([generator.random(_UNIFORMS) for generator in generators]).T
    normals = np.stack([generator.standard_normal(_NORMALS) for generator in generators]).T
    slants = np.array([generator.random() < _SLANT for generator in generators])
    gates = uniforms[1:10] < options.p
    flips = np.stack([uniforms[0] < options.x_flip, gates[0] & options.y_flip])
    turns = 2.0 * uniforms[10:] - 1.0  # in [-1, 1)
    return (
        _compose_geometry(options, flips, gates[1:5], turns[:2], slants, normals[:4], aspect),
        _compose_recoloring(options, gates[5:], turns[2], normals[4:]),
    )


def _compose_geometry(
    options: AugmentationOptions,
    flips: Bool[np.ndarray, "2 b"],
    gates: Bool[np.ndarray, "4 b"],
    turns: Float[np.ndarray, "2 b"],
    slants: Bool[np.ndarray, " b"],
    normals: Float[np.ndarray, "4 b"],
    aspect: float,
) -> Geometry:
    size = 2.0 ** np.where(gates[0], options.scale * normals[0], 0.0)
    angle = np.where(gates[1], np.deg2rad(options.rotation) * turns[0], 0.0)
    stretch = 2.0 ** np.where(gates[2], options.anisotropy * normals[1], 0.0)
    shift = np.where(gates[3], options.translation * 2.0 * normals[2:], 0.0).T
    direction = np.where(gates[2] & slants, np.pi * turns[1], 0.0)
    linear = _diagonals(*(size * (1.0 - 2.0 * flips)))
    linear = _rotations(angle) @ linear
    linear = _diagonals(stretch, 1.0 / stretch) @ _rotations(-direction) @ linear
    linear = _rotations(direction) @ linear
    # Up to here y has the unit of x, so that rotations keep shapes.
    square = np.array([1.0, aspect])
    linear = linear * square / square[:, None]
    inverse = np.linalg.inv(linear)
    source_from_output = np.concatenate([inverse, -inverse @ shift[..., None]], axis=-1)
    return Geometry(source_from_output, changes=np.logical_or.reduce([*flips, *gates]))


def _compose_recoloring(
    options: AugmentationOptions,
    gates: Bool[np.ndarray, "4 b"],
    turn: Float[np.ndarray, " b"],
    normals: Float[np.ndarray, "3 b"],
) -> Recoloring:
    brightness = np.where(gates[0], options.brightness * normals[0], 0.0)
    contrast = 2.0 ** np.where(gates[1], options.contrast * normals[1], 0.0)
    angle = np.where(gates[2], np.pi * options.hue * turn, 0.0)
    saturation = 2.0 ** np.where(gates[3], options.saturation * normals[2], 0.0)
    # Hue and saturation keep greys, so that brightness and contrast may come before or after.
    grey = np.full((3, 3), 1.0 / 3.0)
    across = np.eye(3) - grey
    quarter_turn = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / np.sqrt(3.0)
    angle, saturation, scale = (value[:, None, None] for value in (angle, saturation, contrast))
    turned = np.cos(angle) * across + np.sin(angle) * quarter_turn
    linear = scale * (grey + saturation * turned)
    return Recoloring(
        linear=linear,
        offset=contrast * brightness + 0.5 * (1.0 - contrast),
        changes=np.logical_or.reduce(gates),
    )


def _diagonals(
    first: Float[np.ndarray, " b"], second: Float[np.ndarray, " b"]
) -> Float[np.ndarray, "b 2 2"]:
    return np.stack([first, second], axis=-1)[..., None] * np.eye(2)


def _rotations(angles: Float[np.ndarray, " b"]) -> Float[np.ndarray, "b 2 2"]:
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([cos, -sin, sin, cos], axis=-1).reshape(-1, 2, 2)
