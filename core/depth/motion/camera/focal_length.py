"""The focal length of a shot whose angle of view nothing tells: estimated, and then kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.camera.field_of_view import USUAL_FOV
from core.types import TensorDataclass

_SHARE = 0.05
"""What matches count: their errors are alike from point to point and from key frame to key frame.
"""
_USUAL_DEVIATION = 0.3
"""Of the logarithm of focal lengths, about the usual one: from 60 degrees to 46 or 76."""
_SURE_DEVIATION = 0.05
"""The same below which an estimate is kept: from 60 degrees to 57.5 or 62.5."""
_LOOKED_AT = 32
"""Key frames from look to look at the estimate, for which a GPU has to be waited for."""


@dataclass(frozen=True)
class FocalEstimate(TensorDataclass):
    """What matches say so far of the focal length."""

    log_ratio: Float[Tensor, ""]
    """Logarithm of its ratio to that of :data:`USUAL_FOV`."""
    information: Float[Tensor, ""]
    """Inverse variance of that, if the errors of matches were independent."""

    @staticmethod
    def usual(device: torch.device | str = "cpu") -> FocalEstimate:
        """Return what is known before the first match."""
        return FocalEstimate(torch.zeros((), device=device), _guess(device))

    def as_guess(self) -> FocalEstimate:
        """Return the same ratio, of which no more is sure than of the usual one at first."""
        return FocalEstimate(self.log_ratio, _guess(self.log_ratio.device))

    @property
    def ratio(self) -> Float[Tensor, ""]:
        """The focal length over that of :data:`USUAL_FOV`."""
        return self.log_ratio.exp()

    @property
    def fov(self) -> float:
        """Angle of view along the longer side, degrees."""
        half = math.tan(math.radians(USUAL_FOV) / 2) / self.ratio.item()
        return 2 * math.degrees(math.atan(half))

    @property
    def is_sure(self) -> bool:
        """Whether more matches would change little."""
        return _SHARE * self.information.item() > 1 / _SURE_DEVIATION**2


def _guess(device: torch.device | str) -> Float[Tensor, ""]:
    return torch.full((), 1 / (_SHARE * _USUAL_DEVIATION**2), device=device)


@dataclass(frozen=True)
class AngleOfView:
    """What a stream knows of its camera's angle of view."""

    fov: float | None = None
    """As given, or estimated and kept; degrees along the longer side."""
    estimate: FocalEstimate | None = None
    """The newest one; None where none was needed yet."""
    key_frames: int = 0
    """Key frames that were matched so far."""

    @property
    def supposed(self) -> float:
        """Angle of view that estimates refer to, degrees; the true one where that is known."""
        return self.fov or USUAL_FOV

    @property
    def estimated(self) -> float | None:
        """Degrees, as matches have told them; None where they told nothing or need not."""
        found = self.estimate
        return None if found is None or found.log_ratio == 0 else found.fov

    def begun(self, device: torch.device | str = "cpu") -> FocalEstimate | None:
        """Return what a shot begins with; None where the angle is known."""
        return None if self.fov is not None else self.estimate or FocalEstimate.usual(device)

    def after(self, estimate: FocalEstimate | None, *, keeps: bool = True) -> AngleOfView:
        """Return what is known after one more key frame.

        Args:
            estimate: After that one; None where the angle is known.
            keeps: Look now and then whether it is to be kept.
        """
        if estimate is None:
            return self
        number = self.key_frames + 1
        is_kept = keeps and number % _LOOKED_AT == 0 and estimate.is_sure
        return AngleOfView(estimate.fov if is_kept else None, estimate, number)

    def after_cut(self) -> AngleOfView:
        """Return what a cut leaves: where to start from, since the next shot may be a zoom."""
        return self if self.estimate is None else AngleOfView(estimate=self.estimate.as_guess())
