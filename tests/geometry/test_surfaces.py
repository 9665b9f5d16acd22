from __future__ import annotations

import pytest
import torch

from core.geometry.cameras import Lens
from core.geometry.canonical import pixel_centers
from core.geometry.lift import lift
from core.geometry.surfaces import surface_slopes
from core.types import DynamicGaussians

ROWS, COLUMNS = GRID = (18, 32)
LENS = Lens(60.0, 288 / 512)


def centres(inverse_depth: torch.Tensor) -> torch.Tensor:
    """Return Gaussians at the centres of cells."""
    x, z = (plane.double() for plane in pixel_centers(ROWS, COLUMNS))
    return torch.stack([x, inverse_depth, z], dim=-1).flatten(0, 1)[None]


def plane(across: float, down: float) -> torch.Tensor:
    """Return inverse depths of a plane, which are linear in the picture."""
    x, z = (plane.double() for plane in pixel_centers(ROWS, COLUMNS))
    return 0.4 + across * x - down * z


def flat_scene(means: torch.Tensor) -> DynamicGaussians:
    zero = torch.zeros_like(means[..., 0])
    return DynamicGaussians(
        means=means,
        motion=torch.zeros(*means.shape[:2], 0, 3, dtype=means.dtype),
        scales=torch.tensor([0.02, 0.0, 0.03], dtype=means.dtype).expand_as(means),
        quats=torch.tensor([1.0, 0, 0, 0], dtype=means.dtype).expand(*means.shape[:2], 4),
        colors=torch.zeros_like(means),
        opacities=zero + 1,
        opacity_slopes=zero,
        opacity_half_lives=zero + 0.5,
        anchor_times=zero,
    )


@pytest.mark.parametrize(("across", "down"), [(0.1, 0.2), (-0.2, 0.05), (0.0, 0.3)])
def test_gaussians_of_a_plane_lie_in_it(across: float, down: float) -> None:
    means = centres(plane(across, down))
    lifted = lift(flat_scene(means), LENS, surface_slopes(means, GRID, LENS))
    points = lifted.means[0].view(ROWS, COLUMNS, 3)
    normal = torch.linalg.cross(points[0, 5] - points[0, 0], points[5, 0] - points[0, 0])
    normal = normal / normal.norm()
    offsets = (points - points[0, 0]) @ normal
    assert offsets.abs().max() < 1e-9, "the inverse depth of a plane is linear in the picture"
    thickness = torch.einsum("i, nij, j -> n", normal, lifted.covars[0], normal)
    widths = lifted.covars[0].diagonal(dim1=-2, dim2=-1).amax(-1)
    assert (thickness / widths).max() < 1e-6
    facing = lift(flat_scene(means), LENS).covars[0]
    assert (torch.einsum("i, nij, j -> n", normal, facing, normal) / widths).min() > 1e-2


def test_the_input_camera_sees_no_change() -> None:
    means = centres(plane(0.2, 0.1))
    ray_to_picture = [
        lift(flat_scene(means), LENS, slopes)
        for slopes in (None, surface_slopes(means, GRID, LENS))
    ]
    x, y, depth = ray_to_picture[0].means[0].unbind(-1)
    zero = torch.zeros_like(x)
    rows = [
        torch.stack([1 / depth, zero, -x / depth**2], -1),
        torch.stack([zero, 1 / depth, -y / depth**2], -1),
    ]
    jacobian = torch.stack(rows, dim=-2)
    facing, receding = (jacobian @ scene.covars[0] @ jacobian.mT for scene in ray_to_picture)
    torch.testing.assert_close(receding, facing)


def test_no_surface_spans_the_edge_of_an_object() -> None:
    inverse_depth = plane(0.01, 0.02)
    inverse_depth[6:12, 8:24] += 0.3
    slopes = surface_slopes(centres(inverse_depth), GRID, LENS).view(ROWS, COLUMNS, 2)
    untouched = surface_slopes(centres(plane(0.01, 0.02)), GRID, LENS).view(ROWS, COLUMNS, 2)
    assert (slopes.abs() <= untouched.abs() + 1e-6).all(), "what is nearer spreads less"
    assert (untouched[..., 0] < 0).all(), "nearer to the right"
    assert (untouched[..., 1] > 0).all(), "farther up"
    # Objects are as wide as four windows: their rims see the surface on their own side.
    assert slopes[8, 8, 0] < 0
    assert slopes[8, 7, 0] < 0


def test_a_ramp_as_short_as_an_edge_is_none() -> None:
    inverse_depth = torch.full((ROWS, COLUMNS), 0.1, dtype=torch.float64)
    inverse_depth[:, 16] = 0.4
    inverse_depth[:, 17:] = 0.7
    assert surface_slopes(centres(inverse_depth), GRID, LENS).abs().max() == 0
    steep = surface_slopes(centres(plane(0.39, 0) * 1e-3), GRID, LENS)
    assert steep.abs().max() < 1
