"""Which Gaussians make up the colour of a pixel, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diff_gaussian_rasterization_orth.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from diff_gaussian_rasterization_orth.inputs import SceneInputs, validate
from diff_gaussian_rasterization_orth.projection import ScreenGaussians, project
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.types import DynamicGaussians

_PAIRS_AT_ONCE = 1_000_000
"""Pairs of a point and a Gaussian in memory at a time, about 50 MB."""


@dataclass(frozen=True)
class Contributions:
    """The ``k`` Gaussians that contribute most to each of ``p`` points, the largest first."""

    indices: Int[Tensor, "p k"]
    """Which Gaussians; 0 in places that are not taken."""
    weights: Float[Tensor, "p k"]
    """Opacity at the point times transmittance before it; 0 in places that are not taken."""
    densities: Float[Tensor, "p k"]
    """The Gaussian's density at the point, 1 at its centre; 0 in places that are not taken."""
    alpha: Float[Tensor, " p"]
    """Sum of the weights of all Gaussians, those beyond ``k`` included, in [0, 1]."""


@torch.no_grad()
def contributors(
    gaussians: DynamicGaussians,
    time: float,
    points: Float[Tensor, "p 2"],
    image_size: tuple[int, int],
    k: int = 32,
) -> Contributions:
    """Return what the rasteriser blends at some points of one image; no gradients.

    At a pixel's centre the weights of all Gaussians, times their colours, add up to the rendered
    pixel without background. The cost grows with the Gaussians near a point, not with the image.

    Args:
        gaussians: One scene.
        time: Pair time of the image.
        points: Pixel coordinates (u, v), (0, 0) the centre of the first pixel. Beyond the edge of
            the image only what reaches out of it is found.
        image_size: Height and width in pixels.
        k: How many Gaussians are returned at most.

    Raises:
        ValueError: If there is more than one scene.
    """
    if gaussians.num_scenes != 1:
        raise ValueError(f"contributors: got {gaussians.num_scenes} scenes; expected one.")
    screen = _project(gaussians, time, image_size)
    means2d, extents = screen.means2d[0, 0], screen.extents[0, 0]
    candidates = screen.visible[0, 0] & _holds_a_point(
        means2d - extents, means2d + extents, points, image_size
    )
    near = candidates.nonzero()[:, 0]
    near = near[torch.argsort(screen.depths[0, 0, near], stable=True)]  # front to back
    low, high = (means2d - extents)[near], (means2d + extents)[near]
    indices = near.new_zeros(len(points), k)
    weights, densities = points.new_zeros(2, len(points), k)
    alpha = points.new_zeros(len(points))
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(near)))
    for start in range(0, len(points), rows):
        part = slice(start, start + rows)
        lists, taken = _list_boxes(points[part], low, high)  # (r, m), still front to back
        listed = near[lists]
        density = _densities(points[part], means2d[listed], screen.conics[0, listed])
        blended = _blend(torch.where(taken, screen.opacities[0, 0, listed], 0.0) * density)
        alpha[part] = blended.sum(1)
        largest, places = blended.topk(min(k, blended.shape[1]), dim=1)
        there = largest > 0
        columns = slice(largest.shape[1])
        weights[part, columns] = largest
        densities[part, columns] = torch.where(there, density.gather(1, places), 0.0)
        indices[part, columns] = torch.where(there, listed.gather(1, places), 0)
    return Contributions(indices, weights, densities, alpha)


def _project(
    gaussians: DynamicGaussians, time: float, image_size: tuple[int, int]
) -> ScreenGaussians:
    gaussians = gaussians.map(Tensor.float)
    means = gaussians.means
    inputs = SceneInputs(**vars(gaussians), times=means.new_tensor([[time]]))
    return project(validate(inputs, image_size, means.new_zeros(3))[0], image_size)


def _holds_a_point(
    low: Float[Tensor, "n 2"],
    high: Float[Tensor, "n 2"],
    points: Float[Tensor, "p 2"],
    image_size: tuple[int, int],
) -> Bool[Tensor, " n"]:
    """Return which boxes may hold a point, from the number of points in the pixels they touch."""
    last = points.new_tensor([image_size[1] - 1, image_size[0] - 1])
    # A box that touches the image and holds a point beyond its edge holds the pixel at the edge.
    column, row = points.clamp(points.new_zeros(2), last).round().long().unbind(-1)
    counts = torch.zeros(image_size, dtype=torch.long, device=points.device)
    counts.index_put_((row, column), torch.ones_like(row), accumulate=True)
    total = F.pad(counts.cumsum(0).cumsum(1), (1, 0, 1, 0))  # of all pixels above and to the left
    first = (low - 0.5).ceil().clamp(min=0)
    left, top = torch.minimum(first, last).long().unbind(-1)
    end = torch.minimum((high + 0.5).floor(), last).clamp(min=0)
    right, bottom = (end.long() + 1).unbind(-1)
    inside = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return inside > 0


def _list_boxes(
    points: Float[Tensor, "p 2"], low: Float[Tensor, "n 2"], high: Float[Tensor, "n 2"]
) -> tuple[Int[Tensor, "p m"], Bool[Tensor, "p m"]]:
    """List for each point the boxes that hold it, in order, and which places are taken."""
    # Only pairs whose columns agree are compared: few of all.
    u, order = points[:, 0].contiguous().sort()
    begin = torch.searchsorted(u, low[:, 0].contiguous())
    end = torch.searchsorted(u, high[:, 0].contiguous(), right=True)
    spans = (end - begin).clamp_min(0)
    box = torch.arange(len(low), device=low.device).repeat_interleave(spans)
    within = torch.arange(len(box), device=low.device) - (spans.cumsum(0) - spans)[box]
    row = order[begin[box] + within]
    v = points[row, 1]
    holds = (v >= low[box, 1]) & (v <= high[box, 1])
    key = (row[holds] * len(low) + box[holds]).sort().values
    row, box = key.div(max(1, len(low)), rounding_mode="floor"), key % max(1, len(low))
    counts = torch.bincount(row, minlength=len(points))
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    longest = int(counts.max()) if len(points) else 0
    lists = box.new_zeros(len(points), longest)
    lists[row, place] = box
    return lists, torch.arange(longest, device=row.device) < counts[:, None]


def _densities(
    points: Float[Tensor, "p 2"], means2d: Float[Tensor, "p m 2"], conics: Float[Tensor, "p m 3"]
) -> Float[Tensor, "p m"]:
    """Return the Gaussians' unnormalised densities at the points."""
    du, dv = (means2d - points[:, None]).unbind(-1)
    uu, uv, vv = conics.unbind(-1)
    return torch.exp(-0.5 * (uu * du * du + vv * dv * dv) - uv * du * dv)


def _blend(alphas: Float[Tensor, "p m"]) -> Float[Tensor, "p m"]:
    """Return the weights of contributions given from front to back."""
    alphas = alphas.clamp_max(ALPHA_MAX)
    alphas = torch.where(alphas >= ALPHA_MIN, alphas, 0.0)
    alphas = torch.where(torch.cumprod(1 - alphas, dim=1) >= TRANSMITTANCE_MIN, alphas, 0.0)
    behind = torch.cumprod(1 - alphas, dim=1)  # transmittance behind each Gaussian
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=1)
    return alphas * before
