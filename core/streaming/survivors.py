"""Survivors: hidden Gaussians that are kept beyond their two intervals, in a pool of fixed size.

At a key frame, the Gaussians of the key frame before it end their second interval. Kept are those
that are still opaque, lie inside the picture, and lie *behind* what the new key frame shows in
their place: it knows nothing of that content. What lies at the depth of the new surface is shown by
the new key frame itself, and what lies before it contradicts it; both are removed, as is everything
outside the picture, which would never come back. Survivors stand still where their last deformation
left them; the rule is applied to them at each later key frame. Where there are more than the pool
holds, the most opaque are kept, the younger first. After ``MAX_AGE`` key frames each is removed,
because depth that is normalised frame by frame drifts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.geometry.canonical import inverse_depth_from_depth
from core.rendering import render
from core.types import DynamicGaussians

MIN_OPACITY = 0.5
"""Least opacity of a Gaussian that is kept."""
MARGIN = 0.04
"""Normalised inverse depth by which a Gaussian lies behind the surface that hides it."""
MAX_AGE = 30
"""Key frames after which a survivor is removed."""
MAX_PER_PIXEL = 4
"""Most places of a pool for each pixel of the model's picture: a key frame brings one Gaussian a
pixel, and a mistyped number must not take all memory."""
_COVER = 0.9
"""Opacity with which the new surface must cover what it hides."""


@dataclass(frozen=True)
class Survivors:
    """A pool of ``m`` places; free ones hold Gaussians of opacity 0."""

    gaussians: DynamicGaussians
    """One scene of ``m`` Gaussians that stand still."""
    ages: Int[Tensor, "1 m"]
    """For how many key frames each has been kept."""


@dataclass(frozen=True)
class PoolUpdate:
    """What a key frame keeps and removes."""

    survivors: Survivors
    """The new pool."""
    removed: DynamicGaussians
    """One scene of the ending Gaussians and the old pool; those that are kept have opacity 0."""


def largest_pool(image_size: tuple[int, int]) -> int:
    """Return how many places a pool may have.

    Args:
        image_size: Height and width of what the model takes.
    """
    return MAX_PER_PIXEL * image_size[0] * image_size[1]


def empty_pool(size: int, like: DynamicGaussians) -> Survivors:
    """Return a pool of ``size`` free places, in the shapes of ``like``."""
    places = like.map(lambda value: value[:, :1].expand(-1, size, *value.shape[2:]))
    nothing = replace(places, opacities=torch.zeros_like(places.opacities))
    ages = torch.zeros(1, size, dtype=torch.long, device=like.means.device)
    return Survivors(nothing, ages)


def update_pool(
    ending: DynamicGaussians,
    pool: Survivors,
    surface: DynamicGaussians,
    image_size: tuple[int, int],
    *,
    backend: str = "auto",
) -> PoolUpdate:
    """Apply the rule above at a key frame; no shape depends on how many are kept.

    Args:
        ending: One still scene: the Gaussians whose second interval ends here.
        pool: What was kept before.
        surface: The new key frame's own Gaussians.
        image_size: Height and width at which the surface is rendered.
        backend: The rasteriser's backend.
    """
    candidates = DynamicGaussians.cat([ending, pool.gaussians], dim=1)
    first_ages = pool.ages.new_zeros(1, ending.num_gaussians)
    ages = torch.cat([first_ages, pool.ages + 1], dim=1)
    hidden = is_hidden(candidates.means, surface_of(surface, image_size, backend=backend))
    keep = hidden & (candidates.opacities >= MIN_OPACITY) & (ages <= MAX_AGE)
    score = torch.where(keep, candidates.opacities - ages / (1000 * MAX_AGE), 0.0)
    best, chosen = score.topk(pool.gaussians.num_gaussians, dim=1)  # (1, m)
    kept = candidates.select(chosen[0], dim=1)
    taken = best > 0
    survivors = replace(kept, opacities=torch.where(taken, kept.opacities, 0.0))
    is_kept = torch.zeros_like(keep).scatter(1, chosen, taken)
    removed = replace(candidates, opacities=torch.where(is_kept, 0.0, candidates.opacities))
    return PoolUpdate(Survivors(survivors, ages.gather(1, chosen)), removed)


def surface_of(
    gaussians: DynamicGaussians, image_size: tuple[int, int], *, backend: str = "auto"
) -> Float[Tensor, "h w"]:
    """Return the inverse depth behind which a key frame's Gaussians hide everything.

    It is the farthest within a pixel's neighbourhood, so that nothing shows at an edge; -1 where
    they do not cover.
    """
    anchor = gaussians.anchor_times[:, :1]
    seen = render(gaussians, anchor, image_size, backend=backend)
    covered = seen.alpha[0] >= _COVER
    depth = seen.depth[0] / torch.where(covered, seen.alpha[0], 1.0)
    safe = torch.where(covered, depth, 1.0)
    inverse_depth = torch.where(covered, inverse_depth_from_depth(safe), -1.0)
    return -F.max_pool2d(-inverse_depth, 3, stride=1, padding=1)[0, 0]


def is_hidden(means: Float[Tensor, "1 n 3"], surface: Float[Tensor, "h w"]) -> Bool[Tensor, "1 n"]:
    """Return which centres lie inside the picture, at a valid depth, and behind the surface."""
    height, width = surface.shape
    x, inverse_depth, z = means.unbind(-1)
    column = ((x + 1) * width / 2).floor().long()
    row = ((1 - z) * height / 2).floor().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    there = surface[row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return inside & (inverse_depth >= 0) & (inverse_depth < there - MARGIN)
