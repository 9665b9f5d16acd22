"""Soft association of points with the Gaussians that they move with.

A visible point is associated with the Gaussians that are blended where it is, each by its weight
there, as far as its depth is the point's. A hidden point is associated with the nearest Gaussians
at its depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.geometry.canonical import pixels_from_canonical
from core.geometry.motion import displace_means, opacities_at
from core.rendering import Contributors
from core.types import DynamicGaussians

_MOST_GAUSSIANS = 32
"""How many Gaussians a point is associated with at most."""
VISIBLE_SHARE = 0.5
"""Least part of what is blended at a visible point that is at its depth."""
_DEPTH_TOLERANCE = 0.03
"""Difference of normalised inverse depth at which a Gaussian counts by exp(-1/2) as being at a
point's depth."""
_DENSITY_POWER = 4
"""Power of a Gaussian's density at a point that its weight there is multiplied by, so that one that
reaches over from the other side of an edge counts little."""
_MOST_HIDDEN = 16
"""How many Gaussians a hidden point is associated with at most."""
_HIDDEN_DIFFERENCE = 0.046552
"""Largest difference of inverse depth to a Gaussian that a hidden point is associated with; one so
far away counts by 0.3."""
_HIDDEN_OPACITY = 0.3
_HIDDEN_AT_ONCE = 8
"""Hidden points of about one depth that are compared with Gaussians together."""
_LEAST_WEIGHT = 0.02
"""Sum of weights below which a place counts as empty."""


@dataclass(frozen=True)
class Association:
    """The Gaussians that ``p`` points move with."""

    indices: Int[Tensor, "p k"]
    """Gaussians of a scene."""
    shares: Float[Tensor, "p k"]
    """How much each counts; they add up to 1, or to 0 where there is none."""


@dataclass(frozen=True)
class Visibility:
    """What is blended in ``p`` places."""

    association: Association
    """The Gaussians blended there that are at the places' depth."""
    inverse_depths: Float[Tensor, "p k"]
    """Of those Gaussians."""
    share: Float[Tensor, " p"]
    """Which part of what is blended there they are, in [0, 1]."""


@dataclass(frozen=True)
class AssociatedPoints:
    """``p`` points of one interval, and the Gaussians that they move with."""

    contributors: Contributors
    """Of the interval's scene."""
    starts: Float[Tensor, " p"]
    """Pair time at which each point was associated."""
    places: Float[Tensor, "p 3"]
    """Where it was then: x, inverse depth, z."""
    association: Association
    """The Gaussians that it moves with."""

    def places_at(self, time: float) -> Float[Tensor, "p 3"]:
        """Return where the points are at a pair time: x, inverse depth, z."""
        moved = self._centers_at(time) - self._begins  # (p, k, 3)
        return self.places + einsum(self.association.shares, moved, "p k, p k xyz -> p xyz")

    @cached_property
    def _begins(self) -> Float[Tensor, "p k 3"]:
        """Where the Gaussians were at the points' starts."""
        return self._centers_at(self.starts[:, None])

    def _centers_at(self, time: float | Tensor) -> Float[Tensor, "p k 3"]:
        return centers_at(self.contributors.gaussians, self.association.indices, time)

    def is_visible(self, places: Float[Tensor, "p 3"], time: float) -> Bool[Tensor, " p"]:
        """Return which points nothing else covers in their places at a pair time."""
        return visibility(self.contributors, time, places).share >= VISIBLE_SHARE


def associate(
    gaussians: DynamicGaussians,
    starts: Float[Tensor, " p"],
    places: Float[Tensor, "p 3"],
    image_size: tuple[int, int],
) -> AssociatedPoints:
    """Associate points with Gaussians of an interval, hidden ones too.

    The depth of a visible point becomes the mean of the Gaussians that show it.

    Args:
        gaussians: The scene of an interval.
        starts: Pair time at which each point is associated.
        places: x, inverse depth, z; a depth of NaN stands for that of what is visible.
        image_size: Height and width of the picture.
    """
    places = places.clone()
    indices = torch.zeros(len(places), _MOST_GAUSSIANS, dtype=torch.long, device=places.device)
    shares = places.new_zeros(len(places), _MOST_GAUSSIANS)
    contributors = Contributors(gaussians, image_size)
    for start in starts.unique().tolist():
        which = (starts == start).nonzero()[:, 0]
        found = visibility(contributors, start, places[which])
        indices[which], shares[which] = found.association.indices, found.association.shares
        visible = (found.share >= VISIBLE_SHARE) | places[which, 1].isnan()
        depth = einsum(found.association.shares, found.inverse_depths, "p k, p k -> p")
        places[which, 1] = torch.where(visible, depth, places[which, 1])
        hidden = which[~visible]
        nearest = associate_hidden(gaussians, start, places[hidden], image_size)
        indices[hidden], shares[hidden] = nearest.indices, nearest.shares
    return AssociatedPoints(contributors, starts, places, Association(indices, shares))


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
        value[0].index_select(0, indices.flatten()).unflatten(0, indices.shape)
        for value in (gaussians.means, gaussians.motion, gaussians.anchor_times)
    )
    return displace_means(means, motion, time - anchors)


def visibility(contributors: Contributors, time: float, places: Float[Tensor, "p 3"]) -> Visibility:
    """Return what is blended in places of one scene, and how much of it is at their depth.

    Args:
        contributors: Of the scene.
        time: Pair time.
        places: x, inverse depth, z; where the depth is NaN, that of what is blended is taken.
    """
    points = pixels_from_canonical(places, contributors.image_size)
    found = contributors.at(time, points, _MOST_GAUSSIANS)
    depths = centers_at(contributors.gaussians, found.indices, time)[..., 1]  # (p, k)
    weights = found.weights * found.densities**_DENSITY_POWER
    expected = places[:, 1]
    expected = torch.where(expected.isnan(), weighted_median(depths, weights), expected)
    own = weights * agreement(depths, expected[:, None])
    share = own.sum(1) / weights.sum(1).clamp_min(_LEAST_WEIGHT)
    return Visibility(Association(found.indices, _normalized(own)), depths, share)


def associate_hidden(
    gaussians: DynamicGaussians,
    time: float,
    places: Float[Tensor, "p 3"],
    image_size: tuple[int, int],
) -> Association:
    """Associate hidden places with the nearest Gaussians at their depth, however far."""
    indices = torch.zeros(len(places), _MOST_GAUSSIANS, dtype=torch.long, device=places.device)
    shares = places.new_zeros(len(places), _MOST_GAUSSIANS)
    if not len(places):
        return Association(indices, shares)
    opacities = opacities_at(
        gaussians.opacities,
        gaussians.opacity_slopes,
        gaussians.opacity_half_lives,
        time - gaussians.anchor_times,
    )
    solid = (opacities[0] >= _HIDDEN_OPACITY).nonzero()[:, 0]
    centers = centers_at(gaussians, solid[None], time)[0]
    depths, order = centers[:, 1].sort()
    solid, pixels = solid[order], pixels_from_canonical(centers[order], image_size)
    u, v = pixels.T.contiguous()
    order = places[:, 1].argsort()
    expected, points = places[order, 1], pixels_from_canonical(places[order], image_size)
    begins = torch.searchsorted(depths, expected - _HIDDEN_DIFFERENCE).tolist()
    ends = torch.searchsorted(depths, expected + _HIDDEN_DIFFERENCE, right=True).tolist()
    for start in range(0, len(places), _HIDDEN_AT_ONCE):
        part = slice(start, start + _HIDDEN_AT_ONCE)
        near = slice(begins[part][0], ends[part][-1])  # at the depth of one of these places
        size = min(_MOST_HIDDEN, near.stop - near.start)
        pu, pv = points[part, :, None].unbind(1)
        distances = (u[near] - pu).square() + (v[near] - pv).square()  # (r, n)
        differences = (depths[near] - expected[part, None]).abs()
        distances.masked_fill_(differences > _HIDDEN_DIFFERENCE, torch.inf)
        nearest, chosen = distances.topk(size, dim=1, largest=False)
        agreements = agreement(depths[near][chosen], expected[part, None])
        indices[order[part], :size] = solid[near][chosen]
        shares[order[part], :size] = _normalized(torch.where(nearest.isfinite(), agreements, 0.0))
    return Association(indices, shares)


def agreement(
    depths: Float[Tensor, "*shape"], expected: Float[Tensor, "*other"]
) -> Float[Tensor, "*result"]:
    """Return how far inverse depths count as the expected ones, in [0, 1]; shapes broadcast."""
    return torch.exp(-0.5 * ((depths - expected) / _DEPTH_TOLERANCE).square())


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
