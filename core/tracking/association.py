"""Soft association: which Gaussians carry a point, and by what share each.

A point is bound to the Gaussians that are seen where it is, each by the weight with which it is
blended there, as far as its depth is the point's. While something else is seen in its place it is
bound to its companions: the nearest Gaussians at its depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.geometry.canonical import pixels_from_canonical
from core.geometry.motion import displace_means, opacities_at
from core.rendering import contributors
from core.types import DynamicGaussians

CARRIERS = 32
"""How many Gaussians carry a point at most."""
DEPTH_TOLERANCE = 0.03
"""Difference of normalised inverse depth at which a Gaussian counts by exp(-1/2) as being at a
point's depth."""
_FOCUS = 4
"""How much more the Gaussians count whose middle is seen: their weight is multiplied by this power
of their density, so that what reaches over from the other side of an edge does not prevail."""
_COMPANIONS = 16
"""How many Gaussians carry a hidden point at most."""
_COMPANION_AGREEMENT = 0.3
_COMPANION_OPACITY = 0.3
_LEAST_VOTES = 0.02
"""Votes below which nothing is seen in a place."""
_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Bond:
    """What carries ``p`` points."""

    indices: Int[Tensor, "p k"]
    """Gaussians of a scene."""
    shares: Float[Tensor, "p k"]
    """How much each counts; they add up to 1, or to 0 where there is none."""


@dataclass(frozen=True)
class Sight:
    """What is seen in ``p`` places."""

    bond: Bond
    """The Gaussians seen there that are at the places' depth."""
    presence: Float[Tensor, " p"]
    """Which part of what is seen there they are, in [0, 1]."""


def centers_at(
    gaussians: DynamicGaussians, indices: Int[Tensor, "p k"], time: float | Tensor
) -> Float[Tensor, "p k 3"]:
    """Return where some Gaussians of one scene are at a pair time: x, inverse depth, z.

    Args:
        gaussians: One scene.
        indices: Which.
        time: Pair time; one for all, or (p, 1).
    """
    means, motion, anchors = (
        value[0][indices] for value in (gaussians.means, gaussians.motion, gaussians.anchor_times)
    )
    return displace_means(means, motion, time - anchors)


def look(
    gaussians: DynamicGaussians,
    time: float,
    places: Float[Tensor, "p 3"],
    image_size: tuple[int, int],
) -> Sight:
    """Look at places of one scene.

    Args:
        gaussians: One scene.
        time: Pair time.
        places: x, inverse depth, z; where the depth is NaN, that of what is seen is taken.
        image_size: Height and width of the picture.
    """
    points = pixels_from_canonical(places, image_size)
    found = contributors(gaussians, time, points, image_size, CARRIERS)
    depths = centers_at(gaussians, found.indices, time)[..., 1]  # (p, k)
    votes = found.weights * found.bells**_FOCUS
    expected = places[:, 1]
    expected = torch.where(expected.isnan(), weighted_median(depths, votes), expected)
    own = votes * agreement(depths, expected[:, None])
    presence = own.sum(1) / votes.sum(1).clamp_min(_LEAST_VOTES)
    return Sight(Bond(found.indices, _normalized(own)), presence)


def companions(
    gaussians: DynamicGaussians,
    time: float,
    places: Float[Tensor, "p 3"],
    image_size: tuple[int, int],
) -> Bond:
    """Bind hidden places to the nearest Gaussians at their depth, however far these are."""
    opacities = opacities_at(
        gaussians.opacities,
        gaussians.opacity_slopes,
        gaussians.opacity_half_lives,
        time - gaussians.anchor_times,
    )
    solid = (opacities[0] >= _COMPANION_OPACITY).nonzero()[:, 0]
    centers = centers_at(gaussians, solid[None], time)[0]
    where, points = (pixels_from_canonical(value, image_size) for value in (centers, places))
    size = min(_COMPANIONS, len(solid))
    indices = solid.new_zeros(len(places), CARRIERS)
    shares = places.new_zeros(len(places), CARRIERS)
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(solid)))
    for start in range(0, len(places), rows):
        part = slice(start, start + rows)
        alike = agreement(centers[:, 1], places[part, 1:2])  # (r, n)
        distances = torch.cdist(points[part], where)
        distances = torch.where(alike >= _COMPANION_AGREEMENT, distances, torch.inf)
        nearest, chosen = distances.topk(size, dim=1, largest=False)
        counted = torch.where(nearest.isfinite(), alike.gather(1, chosen), 0.0)
        indices[part, :size] = solid[chosen]
        shares[part, :size] = _normalized(counted)
    return Bond(indices, shares)


def agreement(
    depths: Float[Tensor, "*shape"], expected: Float[Tensor, "*other"]
) -> Float[Tensor, "*result"]:
    """Return how far inverse depths count as the expected ones, in [0, 1]; shapes broadcast."""
    return torch.exp(-0.5 * ((depths - expected) / DEPTH_TOLERANCE).square())


def weighted_median(
    values: Float[Tensor, "p k"], weights: Float[Tensor, "p k"]
) -> Float[Tensor, " p"]:
    """Return the value in each row at which half of the weight is reached."""
    ordered, order = values.sort(dim=1)
    reached = weights.gather(1, order).cumsum(1)
    place = (reached < reached[:, -1:] / 2).sum(1, keepdim=True)
    return ordered.gather(1, place.clamp_max(values.shape[1] - 1))[:, 0]


def _normalized(counts: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
    total = counts.sum(1, keepdim=True)
    return torch.where(total > 0, counts / torch.where(total > 0, total, 1.0), 0.0)
