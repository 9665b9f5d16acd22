"""Rectangles in space, of which everything in a perspective scene is built.

World coordinates are metres: x to the right, y downwards with the ground at 0, z ahead; the camera
stands above the origin and looks along z before it is tilted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.procedural.appearance.silhouettes import FOOT
from core.data.procedural.perspective.surfaces import Surfaces
from core.types import TensorDataclass


@dataclass(frozen=True)
class Quads(TensorDataclass):
    """``p`` rectangles in each of ``b`` scenes."""

    centers: Float[Tensor, "b p 3"]
    """World coordinates."""
    rights: Float[Tensor, "b p 3"]
    """Half of the first side."""
    downs: Float[Tensor, "b p 3"]
    """Half of the second side, at right angles to the first."""
    present: Bool[Tensor, "b p"]
    """Which of them there are."""
    closed: Bool[Tensor, "b p"]
    """Which bound a body, so that they are seen from outside only: from where
    ``downs x rights`` points to."""
    bodies: Int[Tensor, "b p"]
    """Which body carries the rectangle; 0 stands still."""
    sprites: Int[Tensor, "b p"]
    """Which outline is cut from the rectangle; -1 keeps it whole."""
    surfaces: Surfaces
    """What they look like."""

    def keep(self, chosen: Bool[Tensor, "b p"]) -> Quads:
        """Drop all others, so that no more slots remain than the fullest scene needs."""
        chosen = chosen & self.present
        order = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)
        order = order[:, : int(chosen.sum(dim=1).max())]
        rows = torch.arange(len(order))[:, None]
        kept = self.map(lambda value: value[rows, order])
        present = chosen.gather(1, order)
        # Without extent, a rectangle is hit nowhere.
        return replace(kept, present=present, rights=kept.rights * present[..., None])


@dataclass(frozen=True)
class Rect:
    """One rectangle of a template."""

    center: tuple[float, float, float]
    """Middle."""
    right: tuple[float, float, float]
    """Half of the first side."""
    down: tuple[float, float, float]
    """Half of the second side."""
    material: int = 0
    """Which of the thing's materials it is of."""
    closed: bool = True
    """See :class:`Quads`."""


@dataclass(frozen=True)
class Template:
    """``t`` things of up to ``k`` rectangles each, in the box x, z in [-1, 1], y in [-1, 0]."""

    rects: Float[Tensor, "t k 3 3"]
    """Centre and both half sides."""
    used: Bool[Tensor, "t k"]
    """Which rectangles there are."""
    closed: Bool[Tensor, "t k"]
    """See :class:`Quads`."""
    materials: Int[Tensor, "t k"]
    """Which of the thing's materials they are of."""

    @staticmethod
    def of(things: Sequence[Sequence[Rect]]) -> Template:
        """Gather things, padded to the largest."""
        size = max(len(thing) for thing in things)
        zero = (0.0, 0.0, 0.0)
        pad = Rect(zero, zero, zero, closed=False)
        rows = [[*thing, *[pad] * (size - len(thing))] for thing in things]
        return Template(
            rects=torch.tensor([[[r.center, r.right, r.down] for r in row] for row in rows]),
            used=torch.tensor([[k < len(thing) for k in range(size)] for thing in things]),
            closed=torch.tensor([[r.closed for r in row] for row in rows]),
            materials=torch.tensor([[r.material for r in row] for row in rows]),
        )


Range = tuple[float, float]


def cuboid(
    x: Range, height: Range, z: Range, material: int = 0, faces: str = "front back left right top"
) -> list[Rect]:
    """Return faces of a box; heights are positive upwards, the front has the smallest z."""
    cx, cy, cz = (0.5 * (a + b) for a, b in (x, height, z))
    hx, hy, hz = (0.5 * (b - a) for a, b in (x, height, z))
    sides = {
        "front": ((cx, -cy, z[0]), (hx, 0.0, 0.0), (0.0, hy, 0.0)),
        "back": ((cx, -cy, z[1]), (-hx, 0.0, 0.0), (0.0, hy, 0.0)),
        "left": ((x[0], -cy, cz), (0.0, 0.0, -hz), (0.0, hy, 0.0)),
        "right": ((x[1], -cy, cz), (0.0, 0.0, hz), (0.0, hy, 0.0)),
        "top": ((cx, -height[1], cz), (hx, 0.0, 0.0), (0.0, 0.0, -hz)),
        "bottom": ((cx, -height[0], cz), (hx, 0.0, 0.0), (0.0, 0.0, hz)),
    }
    return [Rect(*sides[name], material) for name in faces.split()]


def upright(x0: float, z0: float, x1: float, z1: float, height: Range, material: int = 0) -> Rect:
    """Return a thin wall from (x0, z0) to (x1, z1), seen from both sides."""
    center = (0.5 * (x0 + x1), -0.5 * (height[0] + height[1]), 0.5 * (z0 + z1))
    right, down = (0.5 * (x1 - x0), 0.0, 0.5 * (z1 - z0)), 0.5 * (height[1] - height[0])
    return Rect(center, right, (0.0, down, 0.0), material, closed=False)


@dataclass(frozen=True)
class Placement(TensorDataclass):
    """Where ``n`` things stand."""

    positions: Float[Tensor, "b n 3"]
    """World coordinates of the middle of their underside."""
    yaws: Float[Tensor, "b n"]
    """Turn about the vertical; 0 shows the front to the camera."""
    sizes: Float[Tensor, "b n 3"]
    """Width, height and depth."""
    present: Bool[Tensor, "b n"]
    """Which of them there are."""


def turn(yaws: Float[Tensor, "*n"], vectors: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Turn vectors about the vertical: at 90 degrees, what lies ahead comes to lie at the right."""
    cos, sin = yaws.cos(), yaws.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def place(
    template: Template,
    kinds: Int[Tensor, "b n"],
    placement: Placement,
    surfaces: Surfaces,
    bodies: Int[Tensor, "b n"] | None = None,
) -> Quads:
    """Build things of a template.

    Args:
        template: The things there are.
        kinds: Which of them each is.
        placement: Where they stand.
        surfaces: ``m`` materials of each thing, thing by thing (b, n * m).
        bodies: Which bodies they belong to; all stand still without.
    """
    b, n = kinds.shape
    scale = placement.sizes * torch.tensor([0.5, 1.0, 0.5])
    rects = template.rects[kinds] * scale[:, :, None, None]  # (b, n, k, 3, 3)
    k = rects.shape[2]
    rects = turn(placement.yaws[:, :, None, None].expand(-1, -1, k, 3), rects)
    count = surfaces.textures.shape[1] // n
    rows = torch.arange(n)[:, None] * count + template.materials[kinds]  # (b, n, k)
    slots = torch.arange(b)[:, None], rows.flatten(1)
    carried = torch.zeros_like(kinds) if bodies is None else bodies
    return Quads(
        centers=rearrange(
            rects[..., 0, :] + placement.positions[:, :, None], "b n k c -> b (n k) c"
        ),
        rights=rearrange(rects[..., 1, :], "b n k c -> b (n k) c"),
        downs=rearrange(rects[..., 2, :], "b n k c -> b (n k) c"),
        present=(template.used[kinds] & placement.present[:, :, None]).flatten(1),
        closed=template.closed[kinds].flatten(1),
        bodies=carried.repeat_interleave(k, dim=1),
        sprites=torch.full((b, n * k), -1),
        surfaces=surfaces.map(lambda value: value[slots]),
    )


def billboards(
    sprites: Int[Tensor, "b n"],
    placement: Placement,
    surfaces: Surfaces,
    bodies: Int[Tensor, "b n"] | None = None,
) -> Quads:
    """Build outlines that stand upright.

    Args:
        sprites: Which outlines.
        placement: Where they stand; sizes are those of sprites, and their depth is not used.
        surfaces: The material of each.
        bodies: Which bodies they belong to; all stand still without.
    """
    width, height = (0.5 * placement.sizes[..., axis] for axis in (0, 1))
    zero = torch.zeros_like(width)
    carried = torch.zeros_like(sprites) if bodies is None else bodies
    return Quads(
        centers=placement.positions - torch.stack([zero, FOOT * height, zero], dim=-1),
        rights=turn(placement.yaws, torch.stack([width, zero, zero], dim=-1)),
        downs=torch.stack([zero, height, zero], dim=-1),
        present=placement.present,
        closed=torch.zeros_like(placement.present),
        bodies=carried,
        sprites=sprites,
        surfaces=surfaces,
    )


def clear(
    placement: Placement, camera_height: Float[Tensor, " b"], gap: float, gap_below: float
) -> Placement:
    """Leave out what the camera would stand in or touch.

    Args:
        placement: Where things stand.
        camera_height: Height of the camera, which stands above the origin.
        gap: Least distance in metres.
        gap_below: The same of things that end well below the camera.
    """
    camera = turn(-placement.yaws, -placement.positions)
    outside = (camera.abs() - 0.5 * placement.sizes).clamp(min=0.0)
    distance = torch.hypot(outside[..., 0], outside[..., 2])
    top = placement.sizes[..., 1] - placement.positions[..., 1]
    below = top < camera_height[:, None] - 0.3
    apart = distance > torch.where(below, gap_below, gap)
    return replace(placement, present=placement.present & apart)
