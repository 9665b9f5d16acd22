from __future__ import annotations

import pytest
import torch

from core.types import DynamicGaussians


def scene(b: int, n: int, fill: float = 0.5) -> DynamicGaussians:
    def full(*shape: int) -> torch.Tensor:
        return torch.full(shape, fill)

    return DynamicGaussians(
        full(b, n, 3), full(b, n, 1, 3), full(b, n, 3), full(b, n, 4), full(b, n, 3),
        full(b, n), full(b, n), full(b, n), full(b, n),
    )  # fmt: skip


def test_fields_must_describe_the_same_gaussians() -> None:
    good = scene(2, 5)
    with pytest.raises(ValueError, match=r"opacities has shape \(2, 4\)"):
        DynamicGaussians(
            good.means, good.motion, good.scales, good.quats, good.colors,
            good.opacities[:, :4], good.opacity_slopes, good.opacity_half_lives, good.anchor_times,
        )  # fmt: skip


def test_union_and_selection_of_gaussians() -> None:
    union = DynamicGaussians.cat([scene(2, 3, 0.1), scene(2, 4, 0.9)], dim=1)
    assert (union.num_scenes, union.num_gaussians) == (2, 7)
    kept = union.select(union.opacities[0] > 0.5, dim=1)
    assert kept.num_gaussians == 4
    assert kept.motion.shape == (2, 4, 1, 3)
