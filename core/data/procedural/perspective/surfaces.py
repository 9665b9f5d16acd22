"""What the rectangles of a perspective scene look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.palettes import SceneColors, draw_palettes
from core.data.procedural.perspective.texture_bank import VARIANTS
from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass


@dataclass(frozen=True)
class Surfaces(TensorDataclass):
    """``m`` surfaces in each of ``b`` scenes."""

    textures: Int[Tensor, "b m"]
    """Position in the texture bank."""
    tiles: Float[Tensor, "b m"]
    """Metres that the texture spans before it is mirrored."""
    offsets: Float[Tensor, "b m 2"]
    """Where it begins, in tiles."""
    palettes: Float[Tensor, "b m 4 3"]
    """Base, dark, light and accent colour."""
    grain: Float[Tensor, "b m"]
    """Factor on the texture's natural detail and relief."""
    glow: Float[Tensor, "b m"]
    """Share of the colour that needs no light."""
    corner: Float[Tensor, "b m"]
    """How much darker the border is, as where walls meet."""
    roundness: Float[Tensor, "b m"]
    """How much the side towards the light is brighter, as of something round."""
    haze: Float[Tensor, "b m 2"]
    """Share of the air's colour at infinity, and how it thickens with depth, per metre."""


_CHANNEL_ORDERS = torch.tensor(list(permutations(range(3))))


@dataclass(frozen=True)
class Finish:
    """What surfaces of one sort have in common; pairs are ranges."""

    patterns: Sequence[float]
    """How often each of PATTERNS is chosen."""
    tiles: tuple[float, float]
    """Metres that a texture spans."""
    contrast: tuple[float, float] = (0.3, 1.0)
    """Factor on the differences between the palette's colours; small ones are more frequent."""
    grain: tuple[float, float] = (0.1, 0.7)
    """Factor on the texture's natural detail and relief."""
    whiten: tuple[float, float] = (0.0, 0.0)
    """Share of white."""
    glow: tuple[float, float] = (0.0, 0.0)
    """Share of the colour that needs no light."""
    corner: tuple[float, float] = (0.0, 0.0)
    """How much darker the border is."""
    roundness: tuple[float, float] = (0.0, 0.0)
    """How much the side towards the light is brighter."""


def draw_surfaces(
    rng: SceneRandom, scene_colors: SceneColors, finish: Finish, count: int
) -> Surfaces:
    """Draw ``count`` surfaces of a finish for each scene, without haze."""
    palettes = draw_palettes(rng, scene_colors, count)
    # Some things have colours of their own.
    foreign = rng.choose([6.0, 1.0, 1.0, 1.0, 1.0, 1.0], count)[..., None]
    order = _CHANNEL_ORDERS[foreign].expand_as(palettes)
    palettes = palettes.gather(-1, order)
    base = palettes[:, :, :1]
    least, most = finish.contrast
    contrast = least + (most - least) * rng.uniform(0.0, 1.0, count)[..., None, None] ** 1.7
    palettes = base + contrast * (palettes - base)
    palettes = palettes.lerp(torch.ones(3), rng.uniform(*finish.whiten, count)[..., None, None])
    variant = (rng.uniform(0.0, 1.0, count) * VARIANTS).long()
    return Surfaces(
        textures=rng.choose(finish.patterns, count) * VARIANTS + variant,
        tiles=rng.log_uniform(*finish.tiles, count),
        offsets=rng.uniform(0.0, 2.0, count, 2),
        palettes=palettes,
        grain=rng.uniform(*finish.grain, count),
        glow=rng.uniform(*finish.glow, count),
        corner=rng.uniform(*finish.corner, count),
        roundness=rng.uniform(*finish.roundness, count),
        haze=torch.zeros(*variant.shape, 2),
    )


def interleave(parts: list[Surfaces]) -> Surfaces:
    """Join the surfaces of ``n`` things, one part after the other, thing by thing."""
    n, m = parts[0].textures.shape[1], len(parts)
    order = torch.arange(n * m).view(m, n).T.flatten()
    return Surfaces.cat(parts, dim=1).map(lambda value: value[:, order])
