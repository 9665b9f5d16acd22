from __future__ import annotations

import pytest
import torch

from core.geometry.canonical import (
    depth_from_inverse_depth,
    inverse_depth_from_depth,
    normalize_inverse_depth,
    pixel_centers,
)


def test_depth_runs_from_far_to_near() -> None:
    depth = depth_from_inverse_depth(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(
        depth, torch.tensor([1 / 0.200001, 1 / 10.000001], dtype=torch.float64)
    )


def test_inverse_depth_inverts_depth() -> None:
    d = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(inverse_depth_from_depth(depth_from_inverse_depth(d)), d)


def test_each_map_is_normalized_by_itself() -> None:
    maps = torch.stack([torch.arange(6.0).reshape(2, 3), 100 + torch.arange(6.0).reshape(2, 3)])
    normal = normalize_inverse_depth(maps)
    torch.testing.assert_close(normal[0], normal[1])
    assert normal.min() == 0
    assert normal.max() == 1


def test_a_constant_map_becomes_zero_with_finite_gradient() -> None:
    flat = torch.full((1, 4, 4), 3.0, requires_grad=True)
    normal = normalize_inverse_depth(flat)
    assert torch.equal(normal, torch.zeros(1, 4, 4))
    normal.sum().backward()
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize(("height", "width"), [(144, 256), (3, 5)])
def test_pixel_centers_land_on_pixels(height: int, width: int) -> None:
    x, z = pixel_centers(height, width)
    u = ((x + 1) * width - 1) / 2
    v = ((-z + 1) * height - 1) / 2
    torch.testing.assert_close(u[0], torch.arange(width).float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(v[:, 0], torch.arange(height).float(), atol=1e-4, rtol=0)
    assert z[0, 0] > z[-1, 0], "z is up: the first row is the top"
