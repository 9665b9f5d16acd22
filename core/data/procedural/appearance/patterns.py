"""Regular patterns, antialiased in closed form.

A pattern assigns to each point how much of each of the four colours of a palette is seen there;
the four weights add up to 1. Coordinates are in units of the pattern's period, and ``footprint`` is
the extent of an image pixel in that unit: edges are drawn just that soft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.data.randomness.hashing import hash_cells, unit_pair
from core.types import TensorDataclass

Weights = Float[Tensor, "n 4 h w"]


@dataclass(frozen=True)
class PatternInputs(TensorDataclass):
    """Everything from which patterns are made, for ``n`` surfaces."""

    u: Float[Tensor, "n h w"]
    """First coordinate, in periods."""
    v: Float[Tensor, "n h w"]
    """Second coordinate, in periods."""
    footprint: Float[Tensor, "n h w"]
    """Extent of an image pixel, in periods."""
    fields: Float[Tensor, "n 4 h w"]
    """Random fields of unit deviation: two rough ones, two smooth ones."""
    params: Float[Tensor, "n 4 1 1"]
    """Numbers in [0, 1], which each pattern uses differently."""
    keys: Int[Tensor, "n 1 1"]
    """Keys for what is hashed cell by cell."""


def _edge(distance: Tensor, width: Tensor) -> Tensor:
    return (distance / width.clamp(min=1e-4) + 0.5).clamp(0.0, 1.0)


def _wave(phase: Tensor, duty: Tensor, footprint: Tensor) -> Tensor:
    # 1 over the share `duty` of every period, with edges as wide as the footprint.
    distance = 0.5 * duty - ((phase - phase.floor()) - 0.5).abs()
    return _edge(distance, footprint)


def _columns(table: Sequence[tuple[float, ...]], like: Tensor) -> tuple[Tensor, ...]:
    # The columns of a table as tensors whose rows lie along a new first axis.
    values = torch.tensor(table).to(like.device, non_blocking=True)
    return values[:, :, None, None, None].unbind(1)


def _mix(*weights: Tensor) -> Weights:
    return torch.stack(weights, dim=1)


def mottled(inputs: PatternInputs) -> Weights:
    """Blend the colours along random fields, as stone, soil, fur and foliage do."""
    rough, other, smooth, slow = inputs.fields.unbind(1)
    sharpness = 0.6 + 2.0 * inputs.params[:, 0]
    dark = torch.sigmoid(sharpness * (smooth + 0.6 * rough) - 1.0)
    light = torch.sigmoid(sharpness * (slow + 0.6 * other) - 1.2) * (1.0 - dark)
    accent = torch.sigmoid(3.0 * (other - 1.6)) * (1.0 - dark - light).clamp(min=0.0)
    return _mix(1.0 - dark - light - accent, dark, light, accent)


def patches(inputs: PatternInputs) -> Weights:
    """Cut smooth fields at thresholds, as in marble, camouflage, maps and flaking paint."""
    _, other, smooth, slow = inputs.fields.unbind(1)
    first = smooth + 0.15 * other
    softness = 0.02 + 0.5 * inputs.params[:, 0] ** 2
    a = _edge(first - 0.8 * inputs.params[:, 1], softness)
    b = _edge(slow + 0.1 * other - 0.3, softness) * (1.0 - a)
    c = _edge(slow - smooth - 1.2 - inputs.params[:, 2], softness) * (1.0 - a - b)
    return _mix(1.0 - a - b - c, a, b, c)


def gradient(inputs: PatternInputs) -> Weights:
    """Blend two colours along a direction, and a third around a centre."""
    extent = inputs.v.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=1e-3)
    along = torch.sigmoid((1.0 + 3.0 * inputs.params[:, 0]) * inputs.v / extent)
    radius = (inputs.u**2 + inputs.v**2).sqrt() / extent
    glow = torch.exp(-((radius / (0.4 + inputs.params[:, 1])) ** 2)) * inputs.params[:, 2]
    return _mix(along * (1.0 - glow), (1.0 - along) * (1.0 - glow), glow, torch.zeros_like(glow))


def stripes(inputs: PatternInputs) -> Weights:
    """Lay wide stripes, with a thin one in a third colour here and there."""
    duty = 0.25 + 0.5 * inputs.params[:, 0]
    wide = _wave(inputs.u, duty, inputs.footprint)
    thin = _wave(inputs.u + 0.31, 0.12 * (inputs.params[:, 1] > 0.5), inputs.footprint)
    return _mix((1.0 - wide) * (1.0 - thin), wide * (1.0 - thin), torch.zeros_like(thin), thin)


def checks(inputs: PatternInputs) -> Weights:
    """Lay a chessboard, or a plaid of crossing bands."""
    half = torch.full_like(inputs.params[:, 0], 0.5)
    duty = torch.where(inputs.params[:, 0] > 0.5, 0.3, half)
    a = _wave(inputs.u, duty, inputs.footprint)
    b = _wave(inputs.v, duty, inputs.footprint)
    cross = a + b - 2.0 * a * b
    plaid = inputs.params[:, 0] > 0.5
    both = a * b
    zero = torch.zeros_like(a)
    return torch.where(
        plaid[:, None],
        _mix((1.0 - a) * (1.0 - b), a * (1.0 - b), b * (1.0 - a), both),
        _mix(1.0 - cross, cross, zero, zero),
    )


def bricks(inputs: PatternInputs) -> Weights:
    """Lay rows of bricks or tiles, each of its own shade, with joints between."""
    row = inputs.v.floor()
    shifted = 0.5 * inputs.u + 0.5 * (row % 2.0) * (inputs.params[:, 0] > 0.4)
    column = shifted.floor()
    joint = 0.04 + 0.08 * inputs.params[:, 1]
    inside_u = 2.0 * (0.5 - (shifted - column - 0.5).abs()) - joint
    inside_v = (0.5 - (inputs.v - row - 0.5).abs()) - joint
    stone = _edge(torch.minimum(inside_u, inside_v), inputs.footprint)
    shade, special = unit_pair(hash_cells(inputs.keys, column, row))
    light = stone * shade
    accent = (stone - light) * (special > 0.9)
    return _mix(stone - light - accent, 1.0 - stone, light, accent)


def dots(inputs: PatternInputs) -> Weights:
    """Strew dots over a lattice: regular ones or, moved and sized at random, pebbles."""
    row, column = inputs.v.floor(), inputs.u.floor()
    hashed = hash_cells(inputs.keys, column, row)
    first, second = unit_pair(hashed)
    disorder = inputs.params[:, 0] * (inputs.params[:, 3] > 0.5)
    radius = (0.2 + 0.2 * inputs.params[:, 1]) * (1.0 - 0.5 * disorder * first)
    room = disorder * (0.5 - radius)
    du = inputs.u - column - 0.5 - room * (2.0 * second - 1.0)
    dv = inputs.v - row - 0.5 - room * (2.0 * first - 1.0)
    dot = _edge(radius - (du**2 + dv**2).sqrt(), inputs.footprint)
    accent = dot * (first < 0.5 * inputs.params[:, 2])
    zero = torch.zeros_like(dot)
    return _mix(1.0 - dot, dot - accent, zero, accent)


def cells(inputs: PatternInputs) -> Weights:
    """Tile the plane with irregular cells: cobblestones, giraffe skin, cracked mud, scales."""
    # The nine candidates for the nearest point lie along a new first axis.
    steps = [(dx, dy) for dy in (-1.0, 0.0, 1.0) for dx in (-1.0, 0.0, 1.0)]
    dx, dy = _columns(steps, inputs.u)
    column, row = inputs.u.floor() + dx, inputs.v.floor() + dy  # (9, n, h, w)
    a, b = unit_pair(hash_cells(inputs.keys, column, row))
    du, dv = inputs.u - column - 0.1 - 0.8 * a, inputs.v - row - 0.1 - 0.8 * b
    distance = (du**2 + dv**2).sqrt()
    nearest, winner = distance.min(dim=0, keepdim=True)
    shade = ((7.0 * a + 3.0 * b) % 1.0).gather(0, winner)[0]
    second = distance.scatter(0, winner, 9.0).amin(dim=0)
    nearest = nearest[0]
    joint = 0.03 + 0.12 * inputs.params[:, 0]
    stone = _edge(second - nearest - joint, inputs.footprint + 0.1 * inputs.params[:, 1])
    light = stone * shade
    zero = torch.zeros_like(stone)
    accent = torch.where(inputs.params[:, 2] > 0.6, (stone - light) * (shade < 0.2), zero)
    return _mix(stone - light - accent, 1.0 - stone, light, accent)


_STROKES = [
    (-0.38, -0.5, 0.0, 0.5),
    (-0.38, 0.0, 0.0, 0.5),
    (0.38, -0.5, 0.0, 0.5),
    (0.38, 0.0, 0.0, 0.5),
    (-0.38, -0.5, 0.76, 0.0),
    (-0.38, 0.0, 0.76, 0.0),
    (-0.38, 0.5, 0.76, 0.0),
    (-0.38, 0.5, 0.76, -1.0),
    (0.0, -0.5, 0.0, 1.0),
]
"""Start and extent of the strokes of which signs are made, in the box [-0.5, 0.5]."""


def writing(inputs: PatternInputs) -> Weights:
    """Set lines of strokes that look like text from afar: words, spaces, an odd coloured word."""
    v = inputs.v / 1.7
    row, column = v.floor(), inputs.u.floor()
    x, y = (inputs.u - column - 0.5) / 0.62, (v - row - 0.5) / 0.62  # glyph box: [-0.5, 0.5]
    bits = hash_cells(inputs.keys, column, row)
    present = ((bits >> torch.arange(len(_STROKES), device=x.device)[:, None, None, None]) & 1) == 1
    x0, y0, ex, ey = _columns(_STROKES, x)  # (9, 1, 1, 1) each
    along = (((x - x0) * ex + (y - y0) * ey) / (ex**2 + ey**2)).clamp(0.0, 1.0)
    distance = ((x - x0 - along * ex) ** 2 + (y - y0 - along * ey) ** 2).sqrt()
    strokes = torch.where(present, distance, 9.0).amin(dim=0)
    word, _ = unit_pair(hash_cells(inputs.keys + 1, ((column + 3.0 * row) / 5.0).floor(), row))
    gap = ((column + 3.0 * row) % 5.0 == 0.0) | (word < 0.15)
    thickness = 0.06 + 0.09 * inputs.params[:, 0]
    ink = _edge(thickness - strokes, inputs.footprint / 0.62) * ~gap
    accent = ink * (word > 0.85)
    return _mix(1.0 - ink, ink - accent, torch.zeros_like(ink), accent)


PATTERNS: tuple[Callable[[PatternInputs], Weights], ...] = (
    mottled,
    patches,
    gradient,
    stripes,
    checks,
    bricks,
    dots,
    cells,
    writing,
)
"""The patterns; a material names one by its position."""
