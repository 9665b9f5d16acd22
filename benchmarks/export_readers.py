"""What independent readers make of exported files.

All return the axes of PLY files: X right, Y down, Z forward.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import fourdgs
import gaussforge
import gsply
import numpy as np
import torch
from gsply.sog_reader import sogread
from plyfile import PlyData

from core.checks import UserError
from core.export.splats import Splats
from core.geometry.cameras import Lens
from core.geometry.lift import LiftedGaussians, covariances
from core.rendering.perspective import render_perspective

Reader = Callable[[Path], Splats]
_HARMONIC = 0.28209479177387814


def by_plyfile(path: Path) -> Splats:
    """Undo the encodings of the common PLY layout."""
    vertex = PlyData.read(str(path))["vertex"]

    def columns(*names: str) -> np.ndarray:
        return np.stack([vertex[name] for name in names], axis=1).astype(np.float64)

    return Splats(
        means=columns("x", "y", "z"),
        scales=np.exp(columns("scale_0", "scale_1", "scale_2")),
        quats=columns("rot_0", "rot_1", "rot_2", "rot_3"),
        colors=0.5 + _HARMONIC * columns("f_dc_0", "f_dc_1", "f_dc_2"),
        opacities=_sigmoid(columns("opacity")[:, 0]),
    )


def by_gaussforge(path: Path) -> Splats:
    """Read by its converter to PLY: the package's ``read`` fails with NumPy 2."""
    converted = gaussforge.GaussForge().convert(path.read_bytes(), path.suffix[1:], "ply")
    other = path.with_suffix(".gaussforge.ply")
    other.write_bytes(converted["data"])
    return by_plyfile(other)


def by_splat_transform(path: Path) -> Splats:
    """Read by the converter of PlayCanvas, whose command comes from npm.

    Raises:
        UserError: If it is not installed.
    """
    command = shutil.which("splat-transform")
    if command is None:
        raise UserError("no splat-transform: npm install --global @playcanvas/splat-transform")
    other = path.with_suffix(".transformed.ply")
    subprocess.run([command, "--quiet", "--overwrite", path, other], check=True)
    return by_plyfile(other)


def _spz_by_splat_transform(path: Path) -> Splats:
    """Read .spz files: version 2 turns their axes into those of PLY files, 3 leaves them."""
    read = by_splat_transform(path)
    version = subprocess.run(
        ["splat-transform", "--version"], capture_output=True, text=True, check=True
    )
    major = int((version.stdout + version.stderr).split(" v")[1].split(".")[0])
    return read if major < 3 else _turned_back(read)


def state_of_4dgs(file: fourdgs.Scene, seconds: float) -> Splats:
    """Return what a .4dgs file shows at a time."""
    state = file.gaussians.state_at(seconds, file.header.cutoff)
    index = state["indices"]
    upright = Splats(
        means=state["centers"],
        scales=file.gaussians.scales[index].astype(np.float64),
        quats=state["orientations"][:, [3, 0, 1, 2]],
        colors=file.gaussians.colors[index, :3],
        opacities=state["opacity"],
    )
    return _turned_back(upright)


def _by_fourdgs(path: Path) -> Splats:
    gaussians = fourdgs.from_gltf(str(path)).gaussians
    upright = Splats(
        means=gaussians.positions,
        scales=gaussians.scales,
        quats=gaussians.rotations[:, [3, 0, 1, 2]],
        colors=gaussians.colors[:, :3],
        opacities=gaussians.colors[:, 3],
    )
    return _turned_back(upright)


def _of_gsply(data: gsply.GSData) -> Splats:
    return Splats(
        means=data.means.astype(np.float64),
        scales=np.exp(data.scales.astype(np.float64)),
        quats=data.quats.astype(np.float64),
        colors=0.5 + _HARMONIC * data.sh0.astype(np.float64),
        opacities=_sigmoid(data.opacities),
    )


def _turned_back(splats: Splats) -> Splats:
    """Bring what is right, up, backward to right, down, forward."""
    w, x, y, z = splats.quats.T
    quats = np.stack([-x, w, -z, y], axis=1)
    means = splats.means * np.array([1, -1, -1])
    return Splats(means, splats.scales, quats, splats.colors, splats.opacities)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


READERS: dict[str, dict[str, Reader]] = {
    "ply": {
        "plyfile": by_plyfile,
        "gsply": lambda path: _of_gsply(gsply.plyread(path)),
        "splat-transform": by_splat_transform,
    },
    "spz": {
        "gsply": lambda path: _turned_back(_of_gsply(gsply.read_spz(path))),
        "gaussforge": lambda path: _turned_back(by_gaussforge(path)),
        "splat-transform": _spz_by_splat_transform,
    },
    "spz4": {
        "gsply": lambda path: _turned_back(_of_gsply(gsply.read_spz(path))),
        "splat-transform": _spz_by_splat_transform,
    },
    "splat": {"gaussforge": by_gaussforge, "splat-transform": by_splat_transform},
    "sog": {
        "gsply": lambda path: _of_gsply(sogread(path)),
        "splat-transform": by_splat_transform,
    },
    "glb": {"fourdgs": _by_fourdgs},
}
"""Readers of the formats of one time."""


def covars_of(splats: Splats) -> np.ndarray:
    """Return covariances, which say the same however the axes are numbered."""
    values = (np.asarray(value, np.float64) for value in (splats.scales, splats.quats))
    scales, quats = map(torch.from_numpy, values)
    return covariances(scales, quats / quats.norm(dim=-1, keepdim=True)).numpy()


def picture(splats: Splats, lens: Lens, image_size: tuple[int, int]) -> torch.Tensor:
    """Show by our renderer, from the input camera, what was read."""
    values = (splats.means, covars_of(splats), splats.colors, splats.opacities)
    lifted = LiftedGaussians(
        *(torch.from_numpy(np.asarray(value, np.float32))[None] for value in values),
        valid=torch.ones(1, len(splats), dtype=torch.bool),
    )
    return render_perspective(lifted, torch.eye(4)[None], lens, image_size).rgb[0]
