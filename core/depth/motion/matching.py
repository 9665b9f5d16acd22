"""Matches of a key frame in earlier ones: flow, and how far it can be trusted.

Flow is estimated to the key frame before only, there and back. To those before it leads on along
the flow of that key frame, which costs a look-up in place of an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.camera import Camera
from core.depth.motion.depth_map import DepthMap
from core.geometry.optical_flow import warp
from core.types import TensorDataclass

_NOISE_PX = 0.3
"""Standard deviation of a flow that agrees with that of the way back."""
_LARGEST_MISS_PX = 2.0
"""Miss, there and back, from which on a match is none."""


@dataclass(frozen=True)
class Matches(TensorDataclass):
    """Where the pixels of a key frame are seen in ``p`` partners, earlier key frames."""

    flow: Float[Tensor, "p 2 h w"]
    """Displacement (u, v) of each pixel, pixels."""
    trust: Float[Tensor, "p h w"]
    """Its inverse variance, 1/px^2; 0 where there is no match."""


@dataclass(frozen=True)
class Tracks(TensorDataclass):
    """Where a key frame's pixels were seen in the ``p`` key frames before it, the newest first."""

    flow: Float[Tensor, "p 2 h w"]
    """Displacement, pixels."""
    variance: Float[Tensor, "p h w"]
    """Its variance, px^2; infinite where a pixel was not seen."""

    @property
    def matches(self) -> Matches:
        """The tracks as matches."""
        return Matches(self.flow, 1 / self.variance)


def no_tracks(count: int, like: Float[Tensor, "h w"]) -> Tracks:
    """Return the tracks of a shot's first key frame."""
    return Tracks(
        like.new_zeros(count, 2, *like.shape), like.new_full((count, *like.shape), torch.inf)
    )


def match(
    there: Float[Tensor, "2 h w"],
    back: Float[Tensor, "2 h w"],
    before: DepthMap,
    tracks: Tracks,
    camera: Camera,
) -> tuple[Tracks, DepthMap]:
    """Return the tracks of a key frame, and the depth of the one before where flow leads.

    That is not certain where a flow leads out of the picture.

    Args:
        there: Flow from the key frame to the one before, pixels.
        back: The other way.
        before: Depth of the key frame before.
        tracks: Its tracks.
        camera: The camera of all.
    """
    older = tracks.flow[:-1]
    values = torch.cat((
        back, before.inverse_depth[None], before.certainty[None],
        older.flatten(0, 1), tracks.variance[:-1].clamp_max(1e6),
    ))  # fmt: skip
    read = warp(values[None], there.permute(1, 2, 0)[None])[0]
    number = len(older)
    miss = there + read[:2]
    squared = miss[0].square() + miss[1].square()
    edge, pixels = camera.edge(there)[:, None, None], camera.pixels(there.device)
    is_inside = (((pixels + there).abs() <= edge) & (pixels.abs() <= edge)).all(dim=0)
    usable = is_inside & (squared < _LARGEST_MISS_PX**2)
    variance = torch.where(usable, _NOISE_PX**2 + squared, torch.inf)
    further = there + read[4 : 4 + 2 * number].unflatten(0, (number, 2))
    summed = variance + read[4 + 2 * number :]
    summed = torch.where(summed < _LARGEST_MISS_PX**2, summed, torch.inf)
    found = Tracks(torch.cat((there[None], further)), torch.cat((variance[None], summed)))
    return found, DepthMap(read[2], read[3] * is_inside)
