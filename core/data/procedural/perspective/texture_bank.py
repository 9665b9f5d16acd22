"""Textures and outlines from which all perspective scenes choose, with their mip levels.

A texture holds no colours: it says how much of each colour of a palette is seen, and how bright it
is. So few textures make many surfaces, and no scene has to bake its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.materials import draw_materials, pattern_layers
from core.data.procedural.appearance.patterns import PATTERNS
from core.data.procedural.appearance.silhouettes import OUTLINES, OutlineInputs
from core.data.randomness.scene_random import SceneRandom
from core.data.randomness.spectral import spectral_fields

VARIANTS = 8
"""Textures of each pattern; texture ``k`` has pattern ``k // VARIANTS``."""

OUTLINE_VARIANTS = 6
"""Shapes of each outline; sprite ``k`` has outline ``k // OUTLINE_VARIANTS``."""

_PERIODIC = 2
"""The first patterns follow periodic fields alone; the others are mirrored at the borders."""

_SMALLEST = 4
"""Texels along the side of the coarsest mip level."""


@dataclass(frozen=True)
class TextureBank:
    """Textures of ``side`` by ``side`` texels, a power of 2, and their smaller levels."""

    side: int
    """Texels along the side of the finest level."""
    count: int
    """How many textures there are."""
    texels: Float[Tensor, "n 6"]
    """The channels of :func:`~..appearance.materials.pattern_layers`, level by level."""
    sprites: Float[Tensor, "o 1 side side"]
    """Outlines: at least one half inside."""

    def look_up(
        self,
        textures: Int[Tensor, "*n"],
        u: Float[Tensor, "*n"],
        v: Float[Tensor, "*n"],
        footprints: Float[Tensor, "*n"],
    ) -> Float[Tensor, "*n 6"]:
        """Filter textures linearly in both directions and between mip levels.

        Args:
            textures: Which of them.
            u: Column in tiles; beyond [0, 1] the texture is repeated or mirrored.
            v: Row in tiles.
            footprints: Extent of what is to be averaged, in tiles.
        """
        coarsest = math.log2(self.side / _SMALLEST)
        exact = (footprints * self.side).clamp(min=1.0).log2().clamp(max=coarsest - 0.001)
        level = exact.to(torch.int32)
        share = (exact - level)[..., None]
        fine = self._bilinear(textures, u, v, level)
        return fine.lerp_(self._bilinear(textures, u, v, level + 1), share)

    def _bilinear(
        self,
        textures: Int[Tensor, "*n"],
        u: Float[Tensor, "*n"],
        v: Float[Tensor, "*n"],
        level: Int[Tensor, "*n"],
    ) -> Float[Tensor, "*n 6"]:
        side = self.side >> level
        period = torch.where(textures < _PERIODIC * VARIANTS, side, 2 * side)
        # The finer levels before hold side^2 + (2 side)^2 + ... texels for each texture.
        first = (self.side**2 - side * side) // 3 * 4 * self.count + textures * side * side
        column, left, right = _neighbours(u * side, side, period)
        row, upper, lower = _neighbours(v * side, side, period)
        upper, lower = first + upper * side, first + lower * side
        above, above_right, below, below_right = (
            F.embedding(texel, self.texels)
            for texel in (upper + left, upper + right, lower + left, lower + right)
        )
        return above.lerp_(above_right, column).lerp_(below.lerp_(below_right, column), row)


def _neighbours(
    where: Float[Tensor, "*n"], side: Int[Tensor, "*n"], period: Int[Tensor, "*n"]
) -> tuple[Float[Tensor, "*n 1"], Int[Tensor, "*n"], Int[Tensor, "*n"]]:
    """Return the weight of the second of the two nearest texels, and both."""
    where = where - 0.5
    whole = where.floor()
    first = whole.to(torch.int32)
    pair = []
    for texel in (first, first + 1):
        texel = torch.remainder(texel, period)
        pair.append(torch.minimum(texel, 2 * side - 1 - texel))
    return (where - whole)[..., None], *pair


@lru_cache(maxsize=1)
def texture_bank(side: int, device: torch.device) -> TextureBank:
    """Bake the bank, the same for every source.

    Args:
        side: Texels along the side of the finest level, a power of 2.
        device: Where it is baked and stays.
    """
    with torch.no_grad():
        levels = [_bake_textures(side, device)]
        while levels[-1].shape[-1] > _SMALLEST:
            levels.append(F.avg_pool2d(levels[-1], 2))
        return TextureBank(
            side=side,
            count=len(levels[0]),
            texels=torch.cat([rearrange(level, "n c h w -> (n h w) c") for level in levels]),
            sprites=_bake_sprites(side, device),
        )


def _bake_textures(side: int, device: torch.device) -> Float[Tensor, "n 6 h w"]:
    baked = []
    axis = torch.arange(side, device=device, dtype=torch.float32) - 0.5 * side
    chart = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))
    light = torch.tensor([[-0.5, -0.7]]).to(device).expand(VARIANTS, -1)
    for pattern in range(len(PATTERNS)):
        rng = SceneRandom(0, [pattern])
        weights = [float(index == pattern) for index in range(len(PATTERNS))]
        materials = draw_materials(rng, torch.zeros(1, VARIANTS, 4, 3), weights, 2 * side)
        materials = materials.to(device)
        cutoffs = torch.full_like(materials.angle, 0.35)
        fields = spectral_fields(materials.keys, materials.exponents, cutoffs, side, side)
        ones = torch.ones_like(fields[:, 0])
        charts = chart.expand(VARIANTS, -1, -1, -1)
        baked.append(pattern_layers(materials, charts, ones, fields, light))
    return torch.cat(baked)


def _bake_sprites(side: int, device: torch.device) -> Float[Tensor, "o 1 side side"]:
    n = OUTLINE_VARIANTS
    axis = (2.0 * torch.arange(side, device=device) + 1.0) / side - 1.0
    x, y = axis.expand(n, side, side), axis[:, None].expand(n, side, side)
    exponents, cutoffs = torch.tensor([[2.2, 3.5]]).expand(n, -1), torch.full((n,), 0.35)
    sprites = []
    for index, outline in enumerate(OUTLINES):
        rng = SceneRandom(1, [index])
        keys, params = rng.keys(n)[0].to(device), rng.uniform(0.0, 1.0, n, 16)[0].to(device)
        fields = spectral_fields(keys, exponents.to(device), cutoffs.to(device), side, side)
        inside = outline(OutlineInputs(x, y, fields, params[..., None, None]))
        sprites.append((0.5 + 0.25 * side * inside).clamp(0.0, 1.0))
    return torch.cat(sprites)[:, None]
