from __future__ import annotations

import pytest
import torch

from core.checks import UserError
from core.geometry.cameras import Lens, fit_orbit, look_at


def test_looking_ahead_from_the_origin_is_the_identity() -> None:
    pose = look_at(torch.zeros(3), torch.tensor([0.0, 0.0, 2.0]))
    torch.testing.assert_close(pose, torch.eye(4))


def test_a_camera_sees_its_target_straight_ahead_and_the_world_upright() -> None:
    eye, target = torch.tensor([0.3, -0.2, 0.1]), torch.tensor([-0.1, 0.4, 2.0])
    pose = look_at(eye, target)
    rotation = pose[:3, :3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3))
    torch.testing.assert_close(rotation @ eye + pose[:3, 3], torch.zeros(3), atol=1e-6, rtol=0)
    seen = rotation @ target + pose[:3, 3]
    torch.testing.assert_close(seen, torch.tensor([0.0, 0.0, (target - eye).norm().item()]))
    assert (rotation @ torch.tensor([0.0, 1.0, 0.0]))[1] > 0, "down stays down"


@pytest.mark.parametrize("fov", [0.0, 180.0, -5.0])
def test_an_impossible_field_of_view_is_refused(fov: float) -> None:
    with pytest.raises(UserError, match="field of view"):
        Lens(horizontal_fov_deg=fov)


def test_focal_length_follows_the_field_of_view() -> None:
    assert Lens(90.0).focal == pytest.approx(1.0)
    assert Lens(60.0).focal == pytest.approx(3**0.5)


def test_zooming_enlarges() -> None:
    lens = Lens(60.0, 1.5)
    assert lens.zoomed(1.2).focal == pytest.approx(1.2 * lens.focal)
    assert lens.zoomed(1.2).aspect == 1.5


def test_the_orbit_looks_at_the_median_and_bounds_the_parallax() -> None:
    lens = Lens(60.0)
    depths = 1 / torch.linspace(0.2, 10, 1001)
    orbit = fit_orbit(depths, lens, max_shift=0.06)
    assert orbit.focus_depth == pytest.approx(depths.median().item())
    shifts = lens.focal * orbit.radius * (1 / depths - 1 / orbit.focus_depth).abs()
    assert (shifts <= 0.06).float().mean() >= 0.9
    assert shifts.max() > 0.05, "the parallax can be seen"


def test_the_orbit_of_a_flat_scene_stays_small() -> None:
    orbit = fit_orbit(torch.full((100,), 2.0), Lens())
    assert orbit.radius == pytest.approx(0.16)


def test_the_orbit_closes() -> None:
    orbit = fit_orbit(1 / torch.linspace(0.2, 10, 101), Lens())
    torch.testing.assert_close(
        orbit.cam_from_world(0.0), orbit.cam_from_world(1.0), atol=1e-6, rtol=0
    )
