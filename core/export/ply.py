"""Gaussian scenes as PLY files in the layout that viewers of 3D Gaussian splats read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from plyfile import PlyData, PlyElement
from torch import Tensor

from core.geometry.lift import LiftedGaussians
from core.geometry.rotations import quats_from_matrices
from core.io.atomic import atomic_path

_SH_CONSTANT = 0.28209479177387814
"""The spherical harmonic of degree 0: colour = 0.5 + constant * f_dc."""
_VISIBLE = 1 / 255
_OPAQUE = 1 - 1e-6
"""Largest opacity written: the logit of 1 is infinite."""
_SMALLEST_VARIANCE = 1e-20
_FIELDS = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def write_ply(
    path: str | Path, gaussians: LiftedGaussians, keep: Bool[Tensor, " n"] | None = None
) -> int:
    """Write one scene; what is invalid or fainter than 1/255 is left out.

    All fields are little-endian float32: positions and (zero) normals, the colour as the spherical
    harmonic of degree 0, the opacity as its logit, scales as natural logarithms of standard
    deviations, rotations as unit quaternions (w, x, y, z). Axes as COLMAP: x right, y down,
    z forward, the input view's camera at the origin.

    Args:
        path: Where the file shall be; it appears whole or not at all.
        gaussians: A batch of one scene.
        keep: Which Gaussians may be written, for example those that show no padding; all if None.

    Returns:
        The number of Gaussians written.

    Raises:
        ValueError: If there is not exactly one scene.
        UserError: If the file cannot be written.
    """
    if gaussians.means.shape[0] != 1:
        raise ValueError(f"write_ply: a file holds one scene; got {gaussians.means.shape[0]}")
    chosen = gaussians.valid[0] & (gaussians.opacities[0] >= _VISIBLE)
    if keep is not None:
        chosen = chosen & keep
    means, covars, colors, opacities = (
        value[0, chosen].detach().cpu().double()
        for value in (gaussians.means, gaussians.covars, gaussians.colors, gaussians.opacities)
    )
    scales, quats = principal_axes(covars)
    columns = [
        means,
        torch.zeros_like(means),
        (colors - 0.5) / _SH_CONSTANT,
        torch.logit(opacities.clamp_max(_OPAQUE))[:, None],
        scales.log(),
        quats,
    ]
    rows = torch.cat(columns, dim=1).to(torch.float32).numpy()
    vertices = np.rec.fromarrays(rows.T, dtype=[(name, "<f4") for name in _FIELDS])
    with atomic_path(path) as partial:
        PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(partial))
    return len(rows)


def principal_axes(
    covars: Float[Tensor, "n 3 3"],
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 4"]]:
    """Split covariances into standard deviations and the unit quaternions of their axes.

    A covariance without mixed terms keeps its axes, with the identity as rotation.
    """
    variances = torch.diagonal(covars, dim1=-2, dim2=-1).clone()
    axes = torch.eye(3, dtype=covars.dtype).expand_as(covars).clone()
    turned = (covars - torch.diag_embed(variances)).abs().amax(dim=(-2, -1)) > 0
    if turned.any():
        variances[turned], axes[turned] = torch.linalg.eigh(covars[turned])
        axes[:, :, 0] *= torch.linalg.det(axes).sign()[:, None]  # a rotation, not a mirror
    return variances.clamp_min(_SMALLEST_VARIANCE).sqrt(), quats_from_matrices(axes)
