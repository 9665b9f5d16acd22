"""Points that are carried through one interval by the Gaussians they are bound to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from core.tracking.bonds import CARRIERS, Bond, centers_at, companions, look
from core.types import DynamicGaussians

VISIBLE_PRESENCE = 0.5
"""Part of what is seen in its place that a visible point's own surface is at least."""


@dataclass(frozen=True)
class Ride:
    """What carries ``p`` points through an interval."""

    gaussians: DynamicGaussians
    """The scene of the interval."""
    image_size: tuple[int, int]
    """Height and width of its picture."""
    starts: Float[Tensor, " p"]
    """Pair time at which each point was bound."""
    places: Float[Tensor, "p 3"]
    """Where it was then: x, inverse depth, z."""
    bond: Bond
    """The Gaussians that carry it."""

    def places_at(self, time: float) -> Float[Tensor, "p 3"]:
        """Return where the points are at a pair time: x, inverse depth, z."""
        indices = self.bond.indices
        begin = centers_at(self.gaussians, indices, self.starts[:, None])
        moved = centers_at(self.gaussians, indices, time) - begin  # (p, k, 3)
        return self.places + einsum(self.bond.shares, moved, "p k, p k xyz -> p xyz")

    def seen(self, places: Float[Tensor, "p 3"], time: float) -> Bool[Tensor, " p"]:
        """Return which points nothing else covers in their places at a pair time."""
        return look(self.gaussians, time, places, self.image_size).presence >= VISIBLE_PRESENCE


def board(
    gaussians: DynamicGaussians,
    starts: Float[Tensor, " p"],
    places: Float[Tensor, "p 3"],
    image_size: tuple[int, int],
) -> Ride:
    """Bind points to what is seen in their places, and those that are hidden to companions.

    The depth of a point that is seen becomes the mean of the Gaussians that show it.

    Args:
        gaussians: The scene of an interval.
        starts: Pair time at which each point is bound.
        places: x, inverse depth, z; a depth of NaN stands for that of what is seen.
        image_size: Height and width of the picture.
    """
    places = places.clone()
    indices = torch.zeros(len(places), CARRIERS, dtype=torch.long, device=places.device)
    shares = places.new_zeros(len(places), CARRIERS)
    for start in starts.unique().tolist():
        which = (starts == start).nonzero()[:, 0]
        sight = look(gaussians, start, places[which], image_size)
        indices[which], shares[which] = sight.bond.indices, sight.bond.shares
        seen = (sight.presence >= VISIBLE_PRESENCE) | places[which, 1].isnan()
        depths = centers_at(gaussians, sight.bond.indices, start)[..., 1]
        depth = einsum(sight.bond.shares, depths, "p k, p k -> p")
        places[which, 1] = torch.where(seen, depth, places[which, 1])
        hidden = which[~seen]
        others = companions(gaussians, start, places[hidden], image_size)
        indices[hidden], shares[hidden] = others.indices, others.shares
    return Ride(gaussians, image_size, starts, places, Bond(indices, shares))
