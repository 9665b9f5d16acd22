"""Still Gaussians as the files of other programs hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.geometry.lift import LiftedGaussians
from core.geometry.rotations import quats_from_matrices

FAINTEST = 1 / 255
"""Opacities below are left out: no renderer shows them."""
SH_CONSTANT = 0.28209479177387814
"""The spherical harmonic of degree 0: colour = 0.5 + constant * f_dc."""
_SMALLEST_VARIANCE = 1e-20


@dataclass(frozen=True)
class Splats:
    """``n`` Gaussians in the frame of a camera at the origin; X right, Y down, Z forward."""

    means: Float[np.ndarray, "n 3"]
    """Centres."""
    scales: Float[np.ndarray, "n 3"]
    """Standard deviations along the Gaussian's own axes, linear, above 0."""
    quats: Float[np.ndarray, "n 4"]
    """Unit quaternions (w, x, y, z) with w at least 0."""
    colors: Float[np.ndarray, "n 3"]
    """RGB in [0, 1]."""
    opacities: Float[np.ndarray, " n"]
    """Opacities in [0, 1]."""

    def __len__(self) -> int:
        return len(self.means)

    @property
    def harmonics(self) -> Float[np.ndarray, "n 3"]:
        """Coefficients of the spherical harmonic of degree 0 that give the colours."""
        return (self.colors - np.float32(0.5)) / np.float32(SH_CONSTANT)

    def select(self, index: np.ndarray) -> Splats:
        """Return the Gaussians at ``index``, in its order."""
        return Splats(*(value[index] for value in vars(self).values()))

    def scaled(self, factor: float) -> Splats:
        """Multiply all lengths by ``factor``; the view from the origin stays the same."""
        means, scales = (value * np.float32(factor) for value in (self.means, self.scales))
        return replace(self, means=means, scales=scales)

    def upright(self) -> Splats:
        """Turn the frame half a turn about X: X right, Y up, Z backward, as in glTF.

        The Gaussians' own axes are turned alike, so that no rotation stays none.
        """
        flip = np.array([1, 1, -1, -1], dtype=np.float32)
        return replace(self, means=self.means * flip[1:], quats=self.quats * flip)


def splats_from_lifted(
    gaussians: LiftedGaussians, keep: Bool[Tensor, " n"] | None = None
) -> Splats:
    """Take the visible Gaussians of a lifted scene; what is invalid or too faint is left out.

    Args:
        gaussians: A batch of one scene.
        keep: Which Gaussians may be taken, for example those that show no padding; all if None.

    Raises:
        ValueError: If there is not exactly one scene.
    """
    if gaussians.means.shape[0] != 1:
        raise ValueError(
            f"splats_from_lifted: a file holds one scene; got {gaussians.means.shape[0]}"
        )
    chosen = gaussians.valid[0] & (gaussians.opacities[0] >= FAINTEST)
    if keep is not None:
        chosen = chosen & keep
    means, covars, colors, opacities = (
        value[0, chosen].detach().cpu().double()
        for value in (gaussians.means, gaussians.covars, gaussians.colors, gaussians.opacities)
    )
    scales, quats = principal_axes(covars)
    return Splats(*(value.float().numpy() for value in (means, scales, quats, colors, opacities)))


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
