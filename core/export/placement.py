"""How a scene leaves canonical space for the files of other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from core.export.splats import Splats, splats_from_lifted
from core.geometry.cameras import Lens
from core.geometry.lift import lift
from core.geometry.motion import freeze_at
from core.types import DynamicGaussians

Shows = Callable[[Float[Tensor, " n"], Float[Tensor, " n"]], Bool[Tensor, " n"]]
"""Which places (x, z) of the canonical picture show the input and no padding."""


@dataclass(frozen=True)
class Placement:
    """Lifts scenes to perspective."""

    lens: Lens
    """Field of view, and the aspect of the model's whole picture."""
    shows: Shows | None = None
    """What does not show the input is left out; None takes everything."""
    scale: float = 1.0
    """Length of one unit of depth in the file."""

    def splats(self, gaussians: DynamicGaussians, time: float) -> Splats:
        """Return what is visible of one scene at a pair time."""
        still = freeze_at(gaussians, time)
        keep = None
        if self.shows is not None:
            x, _, z = still.means[0].unbind(-1)
            keep = self.shows(x, z)
        splats = splats_from_lifted(lift(still, self.lens), keep)
        return splats if self.scale == 1 else splats.scaled(self.scale)
