"""The texture bank filters as mip-mapping does, and knows how textures continue."""

from __future__ import annotations

import pytest
import torch

from core.data.procedural.appearance.patterns import PATTERNS
from core.data.procedural.perspective.texture_bank import VARIANTS, TextureBank, texture_bank

SIDE = 32
MOTTLED, BRICKS = 0, 5 * VARIANTS + 1


@pytest.fixture(scope="module")
def bank() -> TextureBank:
    return texture_bank(SIDE, torch.device("cpu"))


def look(bank: TextureBank, texture: int, u: float, v: float, footprint: float) -> torch.Tensor:
    values = (torch.tensor([value]) for value in (u, v, footprint))
    return bank.look_up(torch.tensor([texture], dtype=torch.int32), *values)[0]


def finest(bank: TextureBank, texture: int) -> torch.Tensor:
    return bank.texels[: bank.count * SIDE**2].view(-1, SIDE, SIDE, 6)[texture]


def test_texel_centres_show_the_finest_level(bank: TextureBank) -> None:
    assert bank.count == len(PATTERNS) * VARIANTS
    for texture in (MOTTLED, BRICKS):
        for row, column in ((0, 0), (5, 17), (31, 30)):
            found = look(bank, texture, (column + 0.5) / SIDE, (row + 0.5) / SIDE, 0.5 / SIDE)
            torch.testing.assert_close(found, finest(bank, texture)[row, column])


def test_large_footprints_show_means(bank: TextureBank) -> None:
    level = finest(bank, BRICKS).unflatten(0, (8, 4)).unflatten(2, (8, 4)).mean(dim=(1, 3))
    found = look(bank, BRICKS, 2.5 / 8, 6.5 / 8, 4 / SIDE)
    torch.testing.assert_close(found, level[6, 2], atol=1e-5, rtol=0)
    # Halfway between two levels, both count the same.
    ends = (look(bank, BRICKS, 0.3, 0.6, f / SIDE) for f in (2.0, 4.0))
    between = look(bank, BRICKS, 0.3, 0.6, 8.0**0.5 / SIDE)
    torch.testing.assert_close(between, 0.5 * sum(ends), atol=1e-5, rtol=0)


def test_textures_repeat_or_are_mirrored(bank: TextureBank) -> None:
    inside = look(bank, MOTTLED, 0.2, 0.7, 0.01)
    torch.testing.assert_close(look(bank, MOTTLED, 3.2, -1.3, 0.01), inside, atol=1e-4, rtol=0)
    inside = look(bank, BRICKS, 0.2, 0.7, 0.01)
    torch.testing.assert_close(look(bank, BRICKS, -0.2, 1.3, 0.01), inside, atol=1e-4, rtol=0)
    torch.testing.assert_close(look(bank, BRICKS, 2.2, -0.7, 0.01), inside, atol=1e-4, rtol=0)
