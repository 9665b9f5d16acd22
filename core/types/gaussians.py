"""A batch of dynamic Gaussian scenes in canonical space."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jaxtyping import Float
from torch import Tensor

from core.types.tensor_dataclass import TensorDataclass


@dataclass(frozen=True)
class DynamicGaussians(TensorDataclass):
    """``b`` scenes of ``n`` Gaussians whose centres and opacities are functions of time.

    Axes of positions and scales are those of the canonical world: x right in [-1, 1], then depth
    away from the camera, then z up in [-1, 1]. The second component of a *position* is not a depth
    but the normalised inverse depth in [0, 1] (1 is near) that the networks predict; one outside
    [0, 1] marks an invalid Gaussian that is not rendered. See docs/conventions.md.
    """

    means: Float[Tensor, "b n 3"]
    """Centres (x, inverse depth, z) at the anchor time."""
    motion: Float[Tensor, "b n k 3"]
    """Polynomial motion: coefficient ``j`` multiplies (time - anchor)**(j+1). ``k`` may be 0."""
    scales: Float[Tensor, "b n 3"]
    """Standard deviations (sx, sy, sz) along the Gaussian's own axes, linear, canonical units."""
    quats: Float[Tensor, "b n 4"]
    """Rotations (w, x, y, z), used as they are, never normalised."""
    colors: Float[Tensor, "b n 3"]
    """RGB in [0, 1]."""
    opacities: Float[Tensor, "b n"]
    """Opacities in [0, 1] at the anchor time."""
    opacity_slopes: Float[Tensor, "b n"]
    """Steepness of the opacity window, at least 0; 0 keeps the opacity constant."""
    opacity_half_lives: Float[Tensor, "b n"]
    """Distance in time, in (0, 1), at which the logistic window passes its midpoint."""
    anchor_times: Float[Tensor, "b n"]
    """The time at which position and opacity are those given: 0 or 1 within a pair."""

    def __post_init__(self) -> None:
        batch = self.means.shape[:2]
        for field in fields(self):
            value = getattr(self, field.name)
            if value.shape[:2] != batch:
                raise ValueError(
                    f"DynamicGaussians: {field.name} has shape {tuple(value.shape)}, but means "
                    f"{tuple(self.means.shape)}; all fields must share the first two axes."
                )

    @property
    def num_scenes(self) -> int:
        """Number of scenes ``b``."""
        return self.means.shape[0]

    @property
    def num_gaussians(self) -> int:
        """Number of Gaussians ``n`` in each scene."""
        return self.means.shape[1]
