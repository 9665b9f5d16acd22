"""What a scene file stores of an interval, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.scene_file.key_frame_codec import StaticGaussians
from core.scene_file.motion_codec import Dynamics

if TYPE_CHECKING:  # a process that writes a file needs no PyTorch, which takes seconds to import
    from torch import Tensor

    from core.types import DynamicGaussians


@dataclass(frozen=True)
class IntervalArrays:
    """The Gaussians of one or two key frames, in the order of the grid's rows."""

    static: StaticGaussians
    """At their anchors."""
    dynamics: Dynamics
    """Towards the other key frame."""

    @staticmethod
    def of(gaussians: DynamicGaussians) -> IntervalArrays:
        """Return the arrays of one scene.

        Raises:
            ValueError: If there are several.
        """
        if gaussians.num_scenes != 1:
            raise ValueError(f"IntervalArrays: got {gaussians.num_scenes} scenes; expected one.")
        return IntervalArrays(
            StaticGaussians(
                means=_array(gaussians.means),
                scales=_array(gaussians.scales),
                quats=_array(gaussians.quats),
                colors=_array(gaussians.colors),
                opacities=_array(gaussians.opacities),
            ),
            Dynamics(
                motion=_array(gaussians.motion),
                slopes=_array(gaussians.opacity_slopes),
                half_lives=_array(gaussians.opacity_half_lives),
            ),
        )

    @property
    def num_gaussians(self) -> int:
        """How many there are."""
        return len(self.static.means)

    @property
    def is_finite(self) -> bool:
        """Whether all values are."""
        arrays = (*vars(self.static).values(), *vars(self.dynamics).values())
        # By their ends, which takes no array of truth values; a NaN is both.
        ends = [end for array in arrays if array.size for end in (array.min(), array.max())]
        return bool(np.isfinite(ends).all())

    def part(self, rows: slice) -> IntervalArrays:
        """Return some of the Gaussians."""
        return IntervalArrays(
            StaticGaussians(**{name: array[rows] for name, array in vars(self.static).items()}),
            Dynamics(**{name: array[rows] for name, array in vars(self.dynamics).items()}),
        )


def _array(batch: Tensor) -> np.ndarray:
    """Return the values of one scene."""
    return batch[0].detach().cpu().float().numpy()
