"""Surfaces seen from elsewhere are covered evenly."""

from __future__ import annotations

import torch

from core.rendering.coverage import even_coverage
from core.types import RenderOutput

SIZE = (16, 24)
COLOR = torch.tensor([0.9, 0.2, 0.4])[:, None, None]


def _picture(alpha: torch.Tensor, behind: float) -> RenderOutput:
    alpha = alpha.expand(*SIZE)
    rgb = COLOR * alpha + behind * (1 - alpha)
    return RenderOutput(rgb[None, None], (2 * alpha)[None, None, None], alpha[None, None, None])


def test_a_grid_of_gaps_becomes_an_even_surface():
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(24), indexing="ij")
    even = even_coverage(_picture(0.8 + 0.1 * ((rows + columns) % 2), 0.1), 0.1, SIZE)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(even.alpha[inside], torch.full((1, 1, 1, 14, 22), 0.85))
    torch.testing.assert_close(even.rgb, _picture(even.alpha[0, 0, 0], 0.1).rgb)
    torch.testing.assert_close(even.depth / even.alpha, torch.full_like(even.alpha, 2.0))


def test_gaps_of_larger_pictures_lie_farther_apart():
    columns = torch.arange(24) // 2 % 2
    even = even_coverage(_picture(0.8 + 0.1 * columns, 0.0), 0.0, (8, 12))
    assert even.alpha[..., 3:-3].std() < 1e-6


def test_empty_places_stay_empty_but_for_the_rim():
    covered = (torch.arange(24) < 12).float()
    even = even_coverage(_picture(covered, 1.0), torch.ones(3), SIZE)
    assert (even.alpha[..., 12:] == 0).all()
    assert (even.rgb[..., 12:] == 1).all()
    torch.testing.assert_close(even.alpha[..., :11], torch.ones(1, 1, 1, 16, 11))
