from __future__ import annotations

import pytest
import torch

from core.geometry.canonical import (
    canonical_from_pixels,
    depth_from_inverse_depth,
    inverse_depth_from_depth,
    normalize_inverse_depth,
    pixel_centers,
    pixels_from_canonical,
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


def test_pixels_and_canonical_positions_are_inverse() -> None:
    x, z = pixel_centers(3, 5)
    positions = torch.stack([x, torch.full_like(x, 0.3), z], dim=-1)
    points = pixels_from_canonical(positions, (3, 5))
    v, u = torch.meshgrid(torch.arange(3.0), torch.arange(5.0), indexing="ij")
    torch.testing.assert_close(points, torch.stack([u, v], dim=-1))
    torch.testing.assert_close(canonical_from_pixels(points, positions[..., 1], (3, 5)), positions)
