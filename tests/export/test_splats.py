from __future__ import annotations

import numpy as np
import pytest
import torch

from core.export.placement import Placement
from core.export.splats import Splats, splats_from_lifted
from core.geometry.cameras import Lens
from core.geometry.lift import LiftedGaussians, covariances, lift
from core.types import DynamicGaussians


def still_scene(*, rotated: bool) -> DynamicGaussians:
    draw = torch.Generator().manual_seed(0)
    quats = torch.randn(1, 40, 4, generator=draw)
    if not rotated:
        quats = torch.tensor([1.0, 0, 0, 0]).expand(1, 40, 4)
    zeros = torch.zeros(1, 40)
    return DynamicGaussians(
        means=torch.rand(1, 40, 3, generator=draw),
        motion=torch.zeros(1, 40, 0, 3),
        scales=0.001 + 0.02 * torch.rand(1, 40, 3, generator=draw),
        quats=quats / quats.norm(dim=-1, keepdim=True),
        colors=torch.rand(1, 40, 3, generator=draw),
        opacities=0.1 + 0.9 * torch.rand(1, 40, generator=draw),
        opacity_slopes=zeros,
        opacity_half_lives=zeros + 0.5,
        anchor_times=zeros,
    )


def covars_of(splats: Splats) -> torch.Tensor:
    return covariances(*(torch.from_numpy(v).double() for v in (splats.scales, splats.quats)))


@pytest.mark.parametrize("rotated", [False, True])
def test_scales_and_rotations_make_up_the_covariances(rotated: bool) -> None:
    lifted = lift(still_scene(rotated=rotated), Lens())
    splats = splats_from_lifted(lifted)
    assert len(splats) == 40
    np.testing.assert_array_equal(splats.means, lifted.means[0])
    np.testing.assert_allclose(np.linalg.norm(splats.quats, axis=1), 1, atol=1e-6)
    reference = lifted.covars[0].double()
    size = reference.flatten(1).norm(dim=1)
    assert ((covars_of(splats) - reference).flatten(1).norm(dim=1) < 1e-4 * size).all()


def test_scales_of_unrotated_gaussians_are_permuted_without_rotation() -> None:
    gaussians, lens = still_scene(rotated=False), Lens(60.0, 288 / 512)
    gaussians.means[..., [0, 2]] = 0  # elsewhere the depth axis, which is the ray, is askew
    splats = Placement(lens).splats(gaussians, 0.0)
    assert (splats.quats == [1, 0, 0, 0]).all()
    across = splats.means[:, 2] / lens.focal
    sx, sy, sz = gaussians.scales[0].double().numpy().T
    expected = [sx * across, sz * across * lens.aspect, sy * across * (1 + lens.aspect) / 2]
    np.testing.assert_allclose(splats.scales, np.stack(expected, axis=1), rtol=1e-4)


def test_what_cannot_be_seen_is_left_out() -> None:
    gaussians = still_scene(rotated=False)
    gaussians.opacities[0, :5] = 0.9 / 255
    gaussians.means[0, 5:9, 1] = 1.2
    keep = torch.arange(40) != 20
    assert len(Placement(Lens(), lambda x, z: keep).splats(gaussians, 0.0)) == 40 - 5 - 4 - 1


def test_a_larger_unit_keeps_the_view_from_the_origin() -> None:
    gaussians = still_scene(rotated=True)
    one, ten = (Placement(Lens(), scale=scale).splats(gaussians, 0.0) for scale in (1.0, 10.0))
    np.testing.assert_allclose(ten.means, 10 * one.means, rtol=1e-6)
    torch.testing.assert_close(covars_of(ten), 100 * covars_of(one), rtol=1e-5, atol=1e-8)


def test_upright_axes_are_right_up_backward() -> None:
    splats = Placement(Lens()).splats(still_scene(rotated=True), 0.0)
    upright = splats.upright()
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    np.testing.assert_array_equal(upright.means, splats.means * [1, -1, -1])
    torch.testing.assert_close(covars_of(upright), turn @ covars_of(splats) @ turn)


def test_two_scenes_do_not_fit_into_a_file() -> None:
    lifted = lift(still_scene(rotated=False), Lens())
    two = LiftedGaussians(*(torch.cat([v, v]) for v in vars(lifted).values()))
    with pytest.raises(ValueError, match="one scene"):
        splats_from_lifted(two)
