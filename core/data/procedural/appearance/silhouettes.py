"""Outlines of objects, as fields that are positive inside.

Points are given in sprite coordinates, [-1, 1] on both axes with y downwards; every outline stays
within a radius of about 0.8, so that edges and shadows have room.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.types import TensorDataclass

Points = Float[Tensor, "n h w"]

FOOT = 0.75
"""Where upright outlines touch the ground."""


@dataclass(frozen=True)
class OutlineInputs(TensorDataclass):
    """Everything from which outlines are made, for ``n`` objects."""

    x: Points
    """To the right."""
    y: Points
    """Downwards."""
    fields: Float[Tensor, "n 4 h w"]
    """Random fields of unit deviation: two rough ones, two smooth ones."""
    params: Float[Tensor, "n 16 1 1"]
    """Numbers in [0, 1]."""


def _capsules(
    inputs: OutlineInputs, ends: Float[Tensor, "n k 4"], radii: Float[Tensor, "n k"]
) -> Points:
    # The union of limbs, each a line from (x0, y0) to (x1, y1) with a radius.
    x0, y0, x1, y1 = ends[..., None, None].unbind(2)  # (n, k, 1, 1) each
    ex, ey = x1 - x0, y1 - y0
    dx, dy = inputs.x[:, None] - x0, inputs.y[:, None] - y0  # (n, k, h, w)
    along = ((dx * ex + dy * ey) / (ex**2 + ey**2).clamp(min=1e-6)).clamp(0.0, 1.0)
    distance = ((dx - along * ex) ** 2 + (dy - along * ey) ** 2).sqrt()
    return (radii[..., None, None] - distance).amax(dim=1)


def superellipse(inputs: OutlineInputs) -> Points:
    """From a rhombus over the ellipse to a rounded rectangle."""
    power = 1.2 + 4.0 * inputs.params[:, 0] ** 2
    norm = (inputs.x.abs() ** power + inputs.y.abs() ** power) ** (1.0 / power)
    return 0.62 - norm


def polygon(inputs: OutlineInputs) -> Points:
    """Three to seven edges at uneven distances."""
    count = (3.0 + 5.0 * inputs.params[:, :1]).floor()
    edge = torch.arange(7, device=count.device)[:, None, None]
    angle = 2.0 * math.pi * (edge + 0.5 * inputs.params[:, 1:8]) / count  # (n, 7, 1, 1)
    distance = 0.35 + 0.2 * inputs.params[:, 8:15]
    planes = distance - angle.cos() * inputs.x[:, None] - angle.sin() * inputs.y[:, None]
    field = torch.where(edge < count, planes, 9.0).amin(dim=1)
    # Skewed triangles reach far out; the circle keeps them in the sprite.
    return torch.minimum(field, 0.85 - (inputs.x**2 + inputs.y**2).sqrt())


def blob(inputs: OutlineInputs) -> Points:
    """A radius that is a random series of harmonics."""
    angle = torch.atan2(inputs.y, inputs.x)
    harmonic = torch.arange(2, 8, device=angle.device)[:, None, None]
    amplitude = 0.22 * inputs.params[:, 2:8] / (harmonic - 0.5)  # (n, 6, 1, 1)
    phase = 2.0 * math.pi * inputs.params[:, 10:16]
    waves = amplitude * torch.cos(harmonic * angle[:, None] + phase)
    radius = 0.52 + waves.sum(dim=1)
    return radius - (inputs.x**2 + inputs.y**2).sqrt()


def superformula(inputs: OutlineInputs) -> Points:
    """Flowers, gears and stars."""
    petals = 3.0 + (6.0 * inputs.params[:, 0]).floor()
    wave = torch.cos(petals * torch.atan2(inputs.y, inputs.x)).abs()
    depth = 0.1 + 0.3 * inputs.params[:, 1]
    radius = 0.4 + depth * (wave ** (0.5 + 2.0 * inputs.params[:, 2]) - 0.3)
    return radius - (inputs.x**2 + inputs.y**2).sqrt()


def boulder(inputs: OutlineInputs) -> Points:
    """A rough contour around a disc: rocks, bushes, clouds."""
    radius = (inputs.x**2 + inputs.y**2).sqrt()
    bumps = 0.10 * inputs.fields[:, 2] + (0.02 + 0.05 * inputs.params[:, 0]) * inputs.fields[:, 0]
    return torch.minimum(0.52 + bumps - radius, 0.85 - radius)


def foliage(inputs: OutlineInputs) -> Points:
    """Leaves with holes through which the background is seen."""
    radius = (inputs.x**2 + inputs.y**2).sqrt()
    dense = 1.6 - 2.6 * radius + 0.5 * inputs.params[:, 0]
    lace = dense + 0.7 * inputs.fields[:, 0] + 0.4 * inputs.fields[:, 2]
    return torch.minimum(0.15 * lace, 0.85 - radius)


def ring(inputs: OutlineInputs) -> Points:
    """A hoop."""
    radius = (inputs.x**2 + inputs.y**2).sqrt()
    width = 0.05 + 0.13 * inputs.params[:, 0]
    return width - (radius - 0.52).abs()


def bar(inputs: OutlineInputs) -> Points:
    """A pole, straight or bent."""
    width = 0.02 + 0.09 * inputs.params[:, 0] ** 2
    bent = inputs.x + 0.5 * (inputs.params[:, 1] - 0.5) * (inputs.y**2 - 0.3)
    return torch.minimum(width - bent.abs(), 0.78 - inputs.y.abs())


def reeds(inputs: OutlineInputs) -> Points:
    """A tuft of bent blades that taper towards their tips."""
    height = (0.75 - inputs.y[:, None]) / 1.5  # 0 at the base, 1 at the top
    lean = 1.4 * (inputs.params[:, :8] - 0.5)  # (n, 8, 1, 1), a blade each
    root = 0.5 * (inputs.params[:, 8:] - 0.5)
    tip = 0.55 + 0.45 * inputs.params[:, 4:12].flip(1)
    width = 0.035 * (1.0 - height / tip)
    inside = width - (inputs.x[:, None] - root - lean * height**2 * 0.6).abs()
    field = torch.where(height < tip, inside, -0.1).amax(dim=1)
    return torch.minimum(field, 0.75 - inputs.y)


def tree(inputs: OutlineInputs) -> Points:
    """A trunk under clumps of leaves."""
    lean = 0.2 * (inputs.params[:, 0] - 0.5)  # (n, 1, 1)
    trunk = torch.zeros_like(inputs.params[:, :4, 0, 0])
    trunk[:, 1], trunk[:, 2], trunk[:, 3] = 0.75, lean[:, 0, 0], -0.1
    field = _capsules(inputs, trunk[:, None], 0.04 + 0.04 * inputs.params[:, 1:2, 0, 0])
    cx = lean[:, None] + 0.7 * (inputs.params[:, 2:7] - 0.5)  # (n, 5, 1, 1), a clump each
    cy = -0.25 + 0.55 * (inputs.params[:, 7:12] - 0.5)
    size = 0.2 + 0.1 * inputs.params[:, 11:16]
    distance = ((inputs.x[:, None] - cx) ** 2 + (inputs.y[:, None] - cy) ** 2).sqrt()
    leaves = (size - distance).amax(dim=1)
    leaves = leaves + 0.05 * inputs.fields[:, 0] + 0.03 * inputs.fields[:, 2]
    field = torch.maximum(field, leaves)
    return torch.minimum(field, 0.85 - (inputs.x**2 + inputs.y**2).sqrt())


_LIMBS = [
    (0.0, -0.58, 0.0, -0.58),
    (0.0, -0.26, 0.0, 0.06),
    (-0.05, 0.1, -0.03, 0.72),
    (0.05, 0.1, 0.03, 0.72),
    (-0.13, -0.26, -0.24, 0.15),
    (0.13, -0.26, 0.24, 0.15),
]
"""Head, trunk, legs and arms of a person who stands still: from where to where each reaches."""


def figure(inputs: OutlineInputs) -> Points:
    """A standing or walking person, roughly."""
    params = inputs.params[..., 0, 0]  # (n, 16)
    stride, swing = 0.22 * params[:, 0], 0.35 * (params[:, 1] - 0.5)
    ends = inputs.x.new_zeros(len(params), 6, 4)
    ends[:] = torch.tensor(_LIMBS).to(inputs.x.device, non_blocking=True)
    ends[:, 2:4, 2] += torch.stack([-stride, stride], dim=1)
    ends[:, 4:6, 2] += torch.stack([swing, -swing], dim=1)
    limb = 0.055 + 0.02 * params[:, 2]
    trunk = 0.13 + 0.05 * params[:, 3]
    radii = [torch.full_like(limb, 0.12), trunk, limb, limb, 0.8 * limb, 0.8 * limb]
    return _capsules(inputs, ends, torch.stack(radii, dim=1))


OUTLINES: tuple[Callable[[OutlineInputs], Points], ...] = (
    superellipse,
    polygon,
    blob,
    superformula,
    boulder,
    foliage,
    ring,
    bar,
    reeds,
    tree,
    figure,
)
"""The outlines; an object names one by its position."""

OUTLINE_WEIGHTS = (3.0, 2.5, 3.0, 1.5, 2.0, 1.2, 0.8, 1.2, 1.0, 1.5, 1.5)
"""How often each is chosen."""

UPRIGHT = (False,) * 8 + (True,) * 3
"""Which of them stand on the ground and are neither turned nor squeezed."""
