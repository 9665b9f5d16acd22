"""Outlines of layers, as opacity over the plane from which a layer is cut.

Every outline is one formula whose parameters make it a blob, an ellipse, a polygon, a thin strip,
or a lace through which what is behind shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from core.data.randomness.hashing import white_noise
from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass

_CUTS = 3
_NEVER = 9.0
_COARSE, _FINE = 7, 26
"""Cells of the random fields along the width of the plane."""
_BLOB, _ELLIPSE, _POLYGON, _STRIP, _LACE = range(5)
_KINDS = (3.0, 1.5, 2.0, 1.5, 1.2)
"""How often each kind is drawn."""


@dataclass(frozen=True)
class Shapes(TensorDataclass):
    """Outlines of layers; ``batch`` is (b, l) or both in one, half the frame's width is 1."""

    centers: Float[Tensor, "*batch 2"]
    """Where they lie, to the right and down from the frame's centre."""
    radii: Float[Tensor, "*batch"]
    """Half the length of the longer axis."""
    angles: Float[Tensor, "*batch"]
    """Direction of the longer axis."""
    squeezes: Float[Tensor, "*batch"]
    """Ratio of the longer axis to the shorter one."""
    bends: Float[Tensor, "*batch"]
    """How far the ends of the longer axis bend to one side, in radii."""
    powers: Float[Tensor, "*batch"]
    """From a rhombus (1) over the ellipse (2) to a rectangle."""
    cuts: Float[Tensor, "*batch cuts 3"]
    """Normals and offsets of straight lines beyond which there is nothing, in radii."""
    bumps: Float[Tensor, "*batch 2"]
    """How strongly the smooth and the rough random field shift the outline."""
    bands: Float[Tensor, "*batch"]
    """Half the width of the bands along zeros of a field that alone remain."""
    holes: Float[Tensor, "*batch"]
    """Value of a field above which there are holes."""
    softness: Float[Tensor, "*batch"]
    """Width of the edge in pixels."""
    keys: Int[Tensor, "*batch"]
    """Keys of the random fields."""


def draw_shapes(rng: SceneRandom, count: int, aspect: float) -> Shapes:
    """Draw the outlines of ``count`` layers of each sample.

    Args:
        rng: Source of randomness.
        count: Layers.
        aspect: Height of the frame over its width.
    """
    n = count
    kind = rng.choose(_KINDS, n)
    strip, lace = kind == _STRIP, kind == _LACE
    where = torch.stack([rng.uniform(-0.95, 0.95, n), rng.uniform(-0.9, 0.9, n) * aspect], dim=-1)
    radii = torch.where(strip, rng.uniform(0.3, 1.4, n), rng.log_uniform(0.1, 0.7, n))
    squeezes = torch.where(strip, rng.log_uniform(8.0, 60.0, n), rng.uniform(1.0, 2.2, n))
    bends = rng.uniform(-0.6, 0.6, n) * strip
    rectangle = torch.where(rng.bernoulli(0.5, n), 8.0, 1.2)
    powers = torch.where((kind == _POLYGON) | strip, rectangle, 2.0)
    normals = rng.direction(n, _CUTS)
    offsets = torch.where(
        (kind == _POLYGON)[..., None], rng.uniform(0.15, 0.8, n, _CUTS), torch.tensor(_NEVER)
    )
    bumps = torch.stack([rng.uniform(0.15, 0.5, n), rng.uniform(0.0, 0.15, n)], dim=-1)
    bumps = bumps * ((kind == _BLOB) | lace)[..., None]
    bands = torch.where(lace, rng.uniform(0.08, 0.6, n), _NEVER)
    holes = torch.where(rng.bernoulli(0.15, n), rng.uniform(0.2, 1.0, n), _NEVER)
    soft = rng.bernoulli(0.1, n)
    return Shapes(
        centers=where,
        radii=radii,
        angles=rng.uniform(-math.pi, math.pi, n),
        squeezes=squeezes,
        bends=bends,
        powers=powers,
        cuts=torch.cat([normals, offsets[..., None]], dim=-1),
        bumps=bumps,
        bands=bands,
        holes=holes,
        softness=torch.where(soft, rng.uniform(1.5, 4.0, n), rng.uniform(0.9, 1.4, n)),
        keys=rng.keys(n),
    )


def opacity(shapes: Shapes, size: tuple[int, int], width: int) -> Float[Tensor, "b l h w"]:
    """Return how opaque layers are at the texels of their planes.

    Args:
        shapes: The outlines.
        size: Height and width of the planes in texels, which are as large as the frame's pixels.
        width: Width of the frame in pixels.
    """
    batch = shapes.keys.shape
    shapes = shapes.map(lambda values: values.flatten(0, 1))
    field = _field(shapes, size, width)
    # To first order, the distance to the zero set is the field over its slope.
    padded = F.pad(field[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    dx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    dy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    slope = torch.hypot(dx, dy).mul_(0.5).clamp_(min=1e-4)
    alpha = field.div_(slope.mul_(_texels(shapes.softness))).add_(0.5).clamp_(0.0, 1.0)
    return alpha.unflatten(0, batch)


def _random_fields(
    keys: Int[Tensor, " n"], size: tuple[int, int], cells: int
) -> Float[Tensor, "n 2 h w"]:
    """Return two smooth fields of about unit deviation, with ``cells`` along the width."""
    rows = math.ceil(cells * size[0] / size[1])
    noise = white_noise(keys, 1, rows + 1, cells + 1)[:, 0] * 12.0**0.5
    return F.interpolate(noise, size, mode="bicubic", align_corners=False)


def _texels(values: Float[Tensor, " n"]) -> Float[Tensor, "n 1 1"]:
    return values[:, None, None]


def _field(shapes: Shapes, size: tuple[int, int], width: int) -> Float[Tensor, "n h w"]:
    """Return what is positive inside the outlines and negative outside."""
    device = shapes.radii.device
    x = (2.0 * torch.arange(size[1], device=device) + 1.0 - size[1]) / width
    y = (2.0 * torch.arange(size[0], device=device) + 1.0 - size[0])[:, None] / width
    scale = 1.0 / shapes.radii
    cos, sin = _texels(shapes.angles.cos() * scale), _texels(shapes.angles.sin() * scale)
    cx, cy = shapes.centers[:, 0, None, None], shapes.centers[:, 1, None, None]
    along = cos * (x - cx) + sin * (y - cy)  # (n, h, w), in radii
    across = cos * (y - cy) - sin * (x - cx)
    across = across + _texels(shapes.bends) * along**2
    power = _texels(shapes.powers)
    short = across * _texels(shapes.squeezes)
    norm = along.abs().pow_(power).add_(short.abs().pow_(power)).pow_(1.0 / power)
    field = 1.0 - norm
    for cut in shapes.cuts.unbind(1):
        nx, ny, offset = (_texels(value) for value in cut.unbind(-1))
        field = torch.minimum(field, offset - nx * along - ny * short)
    del along, across, short, norm
    smooth = _random_fields(shapes.keys, size, _COARSE)
    field.addcmul_(_texels(shapes.bumps[:, 0]), smooth[:, 0])
    field = torch.minimum(field, _texels(shapes.bands) - smooth[:, 1].abs())
    rough = _random_fields(shapes.keys ^ 1, size, _FINE)
    field.addcmul_(_texels(shapes.bumps[:, 1]), rough[:, 0])
    return torch.minimum(field, _texels(shapes.holes) - rough[:, 1])
