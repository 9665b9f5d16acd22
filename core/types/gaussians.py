"""A batch of dynamic Gaussian scenes in canonical space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class DynamicGaussians:
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

    def map(self, function: Callable[[Tensor], Tensor]) -> DynamicGaussians:
        """Apply ``function`` to every field, for example ``lambda x: x.cpu()``."""
        return DynamicGaussians(*(function(getattr(self, f.name)) for f in fields(self)))

    def to(self, device: torch.device | str) -> DynamicGaussians:
        """Return the same scenes on ``device``."""
        return self.map(lambda value: value.to(device))

    def scene(self, index: int) -> DynamicGaussians:
        """Return scene ``index`` as a batch of one."""
        return self.map(lambda value: value[index : index + 1])

    def select(self, keep: Bool[Tensor, " n"]) -> DynamicGaussians:
        """Return the Gaussians that ``keep`` marks; the mask is shared by all scenes."""
        return self.map(lambda value: value[:, keep])

    @staticmethod
    def cat(parts: Sequence[DynamicGaussians]) -> DynamicGaussians:
        """Unite the Gaussians of several batches, scene by scene, in the order given."""
        return DynamicGaussians(
            *(torch.cat([getattr(part, f.name) for part in parts], dim=1) for f in fields(parts[0]))
        )
