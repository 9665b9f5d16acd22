"""Gaussian scenes as PLY files in the layout that viewers of 3D Gaussian splats read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

from core.export.splats import Splats
from core.io.atomic import atomic_path

_OPAQUE = 1 - 1e-6
"""Largest opacity written: the logit of 1 is infinite."""
_FIELDS = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def write_ply(path: str | Path, splats: Splats) -> None:
    """Write one scene.

    All fields are little-endian float32: positions and (zero) normals, the colour as the spherical
    harmonic of degree 0, the opacity as its logit, scales as natural logarithms of standard
    deviations, rotations as unit quaternions (w, x, y, z). Axes as COLMAP: x right, y down,
    z forward, the input view's camera at the origin.

    Args:
        path: Where the file shall be; it appears whole or not at all.
        splats: The scene.

    Raises:
        UserError: If the file cannot be written.
    """
    opacities = splats.opacities.clip(max=_OPAQUE).astype(np.float64)
    rows = np.zeros((len(splats), len(_FIELDS)), dtype="<f4")
    rows[:, :3] = splats.means
    rows[:, 6:9] = splats.harmonics
    rows[:, 9] = np.log(opacities / (1 - opacities))
    rows[:, 10:13] = np.log(splats.scales)
    rows[:, 13:] = splats.quats
    vertices = rows.view([(name, "<f4") for name in _FIELDS])[:, 0]
    with atomic_path(path) as partial:
        PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(partial))
