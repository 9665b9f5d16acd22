from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from core.export.ply import write_ply
from core.geometry.cameras import Lens
from core.geometry.lift import LiftedGaussians, covariances, lift
from core.types import DynamicGaussians


def scene(*, rotated: bool) -> DynamicGaussians:
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


def read(path: Path) -> tuple[np.ndarray, ...]:
    """Undo the layout's encodings as a viewer does."""
    file = PlyData.read(str(path))
    assert not file.text
    assert file.byte_order == "<"
    vertex = file["vertex"]

    def columns(*names: str) -> np.ndarray:
        assert all(vertex[name].dtype == np.dtype("<f4") for name in names)
        return np.stack([vertex[name] for name in names], axis=1).astype(np.float64)

    assert not columns("nx", "ny", "nz").any()
    colors = 0.5 + 0.28209479177387814 * columns("f_dc_0", "f_dc_1", "f_dc_2")
    opacities = 1 / (1 + np.exp(-columns("opacity")))
    scales = np.exp(columns("scale_0", "scale_1", "scale_2"))
    quats = columns("rot_0", "rot_1", "rot_2", "rot_3")
    return columns("x", "y", "z"), colors, opacities[:, 0], scales, quats


@pytest.mark.parametrize("rotated", [False, True])
def test_a_viewer_reads_back_the_same_scene(tmp_path: Path, rotated: bool) -> None:
    lifted = lift(scene(rotated=rotated), Lens())
    assert write_ply(tmp_path / "scene.ply", lifted) == 40
    means, colors, opacities, scales, quats = read(tmp_path / "scene.ply")
    np.testing.assert_allclose(means, lifted.means[0], rtol=1e-5)
    np.testing.assert_allclose(colors, lifted.colors[0], atol=1e-6)
    np.testing.assert_allclose(opacities, lifted.opacities[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-6)
    covars = covariances(torch.from_numpy(scales), torch.from_numpy(quats))
    reference = lifted.covars[0].double()
    size = reference.flatten(1).norm(dim=1)
    assert ((covars - reference).flatten(1).norm(dim=1) < 1e-4 * size).all()


def test_scales_of_unrotated_gaussians_are_permuted_without_rotation(tmp_path: Path) -> None:
    gaussians, lens = scene(rotated=False), Lens(60.0, 288 / 512)
    write_ply(tmp_path / "scene.ply", lift(gaussians, lens))
    means, _, _, scales, quats = read(tmp_path / "scene.ply")
    assert (quats == [1, 0, 0, 0]).all()
    across = means[:, 2] / lens.focal
    sx, sy, sz = gaussians.scales[0].double().numpy().T
    expected = [sx * across, sz * across * lens.aspect, sy * across * (1 + lens.aspect) / 2]
    np.testing.assert_allclose(scales, np.stack(expected, axis=1), rtol=1e-4)


def test_what_cannot_be_seen_is_left_out(tmp_path: Path) -> None:
    gaussians = scene(rotated=False)
    gaussians.opacities[0, :5] = 0.9 / 255
    gaussians.means[0, 5:9, 1] = 1.2
    gaussians.opacities[0, 10] = 1.0
    keep = torch.arange(40) != 20
    assert write_ply(tmp_path / "scene.ply", lift(gaussians, Lens()), keep) == 40 - 5 - 4 - 1
    _, _, opacities, scales, _ = read(tmp_path / "scene.ply")
    assert np.isfinite(scales).all()
    assert opacities.max() <= 1


def test_a_scene_of_nothing_is_a_valid_file(tmp_path: Path) -> None:
    gaussians = scene(rotated=True)
    gaussians.opacities.zero_()
    assert write_ply(tmp_path / "scene.ply", lift(gaussians, Lens())) == 0
    assert len(read(tmp_path / "scene.ply")[0]) == 0


def test_two_scenes_do_not_fit_into_a_file(tmp_path: Path) -> None:
    lifted = lift(scene(rotated=False), Lens())
    two = LiftedGaussians(*(torch.cat([v, v]) for v in vars(lifted).values()))
    with pytest.raises(ValueError, match="one scene"):
        write_ply(tmp_path / "scene.ply", two)
