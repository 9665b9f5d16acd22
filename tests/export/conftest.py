"""A scene to export, and readers of others to read it back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import fourdgs
import gaussforge
import gsply
import numpy as np
import pytest
import torch
from gsply.sog_reader import sogread
from plyfile import PlyData

from core.export.placement import Placement
from core.export.splats import Splats
from core.geometry.cameras import Lens
from core.geometry.lift import LiftedGaussians, covariances
from core.rendering.perspective import render_perspective
from core.types import DynamicGaussians

Reader = Callable[[Path], Splats]
LENS = Lens(60.0, 24 / 40)
TURNED = np.float32([1, -1, -1])


@pytest.fixture(scope="session")
def scene() -> DynamicGaussians:
    """Return what a network makes of a pair: a grid of Gaussians, twice, that move and fade.

    They are turned about the view axis, as well as a little about the others.
    """
    draw = torch.Generator().manual_seed(0)
    height, width = 24, 40
    z, x = torch.meshgrid(
        1 - (2 * torch.arange(height) + 1) / height,
        (2 * torch.arange(width) + 1) / width - 1,
        indexing="ij",
    )
    inverse_depth = 0.5 + 0.3 * torch.sin(3 * x) * torch.cos(2 * z)
    means = torch.stack([x, inverse_depth, z], dim=-1).reshape(-1, 3).repeat(2, 1)
    means += 0.01 * torch.randn(means.shape, generator=draw)
    count = len(means)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(1, count, *shape, generator=draw)

    angle = 3 * uniform()
    tilt = 0.1 * torch.randn(2, 1, count, generator=draw)
    quats = torch.stack([angle.cos(), tilt[0], angle.sin(), tilt[1]], dim=-1)
    colors = 0.5 + 0.4 * torch.sin(4 * means[:, [0, 2, 1]] + torch.tensor([0.0, 1.0, 2.0]))
    return DynamicGaussians(
        means=means[None],
        motion=0.1 * torch.randn(1, count, 2, 3, generator=draw) * torch.tensor([1, 0.1, 1]),
        scales=0.02 + 0.03 * uniform(3),
        quats=quats / quats.norm(dim=-1, keepdim=True),
        colors=(colors + 0.05 * torch.randn(colors.shape, generator=draw)).clamp(0, 1)[None],
        opacities=0.1 + 0.9 * uniform(),
        opacity_slopes=20 * uniform() ** 2,
        opacity_half_lives=uniform().clamp(0.02, 0.98),
        anchor_times=torch.arange(2.0).repeat_interleave(count // 2)[None],
    )


@pytest.fixture(scope="session")
def splats(scene: DynamicGaussians) -> Splats:
    return Placement(LENS).splats(scene, 0.25)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def by_plyfile(path: Path) -> Splats:
    file = PlyData.read(str(path))
    assert not file.text
    assert file.byte_order == "<"
    vertex = file["vertex"]

    def columns(*names: str) -> np.ndarray:
        assert all(vertex[name].dtype == np.dtype("<f4") for name in names)
        return np.stack([vertex[name] for name in names], axis=1).astype(np.float64)

    return Splats(
        means=columns("x", "y", "z"),
        scales=np.exp(columns("scale_0", "scale_1", "scale_2")),
        quats=columns("rot_0", "rot_1", "rot_2", "rot_3"),
        colors=0.5 + 0.28209479177387814 * columns("f_dc_0", "f_dc_1", "f_dc_2"),
        opacities=sigmoid(columns("opacity")[:, 0]),
    )


def of_gsply(data: gsply.GSData) -> Splats:
    return Splats(
        means=data.means.astype(np.float64),
        scales=np.exp(data.scales.astype(np.float64)),
        quats=data.quats.astype(np.float64),
        colors=0.5 + 0.28209479177387814 * data.sh0.astype(np.float64),
        opacities=sigmoid(data.opacities),
    )


def turned_back(splats: Splats) -> Splats:
    """Bring what is right, up, backward to right, down, forward."""
    w, x, y, z = splats.quats.T
    quats = np.stack([-x, w, -z, y], axis=1)
    return Splats(splats.means * TURNED, splats.scales, quats, splats.colors, splats.opacities)


def by_gaussforge(path: Path) -> Splats:
    """Read by its converter to PLY: the package's other functions do not know NumPy 2."""
    converted = gaussforge.GaussForge().convert(path.read_bytes(), path.suffix[1:], "ply")
    other = path.with_suffix(".gaussforge.ply")
    other.write_bytes(converted["data"])
    return by_plyfile(other)


def of_fourdgs(gaussians: fourdgs.GaussianSet) -> Splats:
    read = Splats(
        means=gaussians.positions,
        scales=gaussians.scales,
        quats=gaussians.rotations[:, [3, 0, 1, 2]],
        colors=gaussians.colors[:, :3],
        opacities=gaussians.colors[:, 3],
    )
    return turned_back(read)


def by_splat_transform(path: Path) -> Splats:
    """Read by the converter of PlayCanvas, if its command is installed (npm)."""
    command = shutil.which("splat-transform")
    if command is None:
        pytest.skip("no splat-transform: npm install --global @playcanvas/splat-transform")
    other = path.with_suffix(".transformed.ply")
    subprocess.run([command, "--quiet", "--overwrite", path, other], check=True)
    return by_plyfile(other)


READERS: dict[str, Reader] = {
    "plyfile": by_plyfile,
    "gsply ply": lambda path: of_gsply(gsply.plyread(path)),
    "gsply spz": lambda path: turned_back(of_gsply(gsply.read_spz(path))),
    "gsply sog": lambda path: of_gsply(sogread(path)),
    "gaussforge splat": by_gaussforge,
    "gaussforge spz": lambda path: turned_back(by_gaussforge(path)),
    "fourdgs glb": lambda path: of_fourdgs(fourdgs.from_gltf(str(path)).gaussians),
    "splat-transform": by_splat_transform,
}


@pytest.fixture(scope="session")
def read_4dgs() -> Callable[[fourdgs.Scene, float], Splats]:
    """Return what a .4dgs file shows at a time, by its package."""

    def read(file: fourdgs.Scene, seconds: float) -> Splats:
        state = file.gaussians.state_at(seconds, file.header.cutoff)
        index = state["indices"]
        upright = Splats(
            means=state["centers"],
            scales=file.gaussians.scales[index].astype(np.float64),
            quats=state["orientations"][:, [3, 0, 1, 2]],
            colors=file.gaussians.colors[index, :3],
            opacities=state["opacity"],
        )
        return turned_back(upright)

    return read


@pytest.fixture(scope="session")
def covars_of() -> Callable[[Splats], np.ndarray]:
    return _covars_of


def _covars_of(splats: Splats) -> np.ndarray:
    values = (np.asarray(v, np.float64) for v in (splats.scales, splats.quats))
    scales, quats = map(torch.from_numpy, values)
    return covariances(scales, quats / quats.norm(dim=-1, keepdim=True)).numpy()


@pytest.fixture(scope="session")
def picture() -> Callable[[Splats], torch.Tensor]:
    """Show by our renderer what a file holds, from the input camera."""

    def draw(splats: Splats) -> torch.Tensor:
        values = (splats.means, _covars_of(splats), splats.colors, splats.opacities)
        lifted = LiftedGaussians(
            *(torch.from_numpy(np.asarray(v, np.float32))[None] for v in values),
            valid=torch.ones(1, len(splats), dtype=torch.bool),
        )
        return render_perspective(lifted, torch.eye(4)[None], LENS, (48, 80)).rgb[0]

    return draw


@pytest.fixture(scope="session")
def readers() -> dict[str, Reader]:
    return READERS
