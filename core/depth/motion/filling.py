"""Depth where little is known: from the surroundings."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.deciding import select
from core.depth.motion.depth_map import SMALLEST, DepthMap
from core.depth.motion.least_squares import solve

_CELL = 4
"""Pixels a side of the cells on which surroundings are summed up."""
_NEAR, _FAR, _FAR_SHARE = 3.5, 14.0, 0.02
"""Standard deviations of two surroundings, cells, and how much the second one counts."""
_COLOR_VARIANCE, _PLACE_VARIANCE = 3e-4, 1e-2
"""Variance of a feature at which half of its slope is believed."""
_LEAST = 4.0
"""Relative certainty at which a pixel and its surroundings count the same; it is also that of a
guess (an inverse depth that may be wrong by a half)."""
_MOST = 60.0
"""Relative certainty beyond which a pixel counts no more, here: flow that bleeds over an edge is
certain, too. Beyond it a value is known well."""
_FEATURES = 5


def guess(inverse_depth: Float[Tensor, "h w"]) -> DepthMap:
    """Return an inverse depth that may be wrong by a half."""
    positive = inverse_depth.clamp_min(SMALLEST)
    return DepthMap(positive, _LEAST / positive.square())


def complete(depth: DepthMap, single: Float[Tensor, "h w"]) -> DepthMap:
    """Return a map that takes what it does not know from another one, in its own unit.

    Args:
        depth: What is known.
        single: Relative inverse depth of the same frame, brought to the unit of ``depth`` by the
            scale and shift that fit best where both are known.
    """
    weight = depth.relative_certainty.clamp_max(_MOST)
    total = weight.sum().clamp_min(1e-6)
    weight = weight / total
    mean_x, mean_y = (weight * single).sum(), (weight * depth.inverse_depth).sum()
    centred = single - mean_x
    spread = (weight * centred.square()).sum()
    product = (weight * centred * (depth.inverse_depth - mean_y)).sum()
    scale = (product / spread.clamp_min(1e-9)).clamp_min(0)
    return select(depth.certainty > 0, depth, guess(mean_y + scale * centred))


def keep(depth: DepthMap, filled: DepthMap, *, sure_only: Bool[Tensor, ""]) -> DepthMap:
    """Return what is known as it was, and elsewhere what it was filled with.

    What is smoothed time and again would lose its edges.

    Args:
        depth: What is known.
        filled: The same after :func:`fill`.
        sure_only: Keep only what is known well, and of the rest what it was filled with.
    """
    least = torch.where(sure_only, _MOST, 0.0)
    relative = depth.relative_certainty
    known = (relative >= least) & (relative > 0)
    inverse = torch.lerp(filled.inverse_depth, depth.inverse_depth, known.float())
    return DepthMap(inverse, filled.certainty)


def fill(depth: DepthMap, colors: Float[Tensor, "3 h w"]) -> DepthMap:
    """Return a map without holes or lone outliers, in which nothing is less than a guess.

    Around each pixel inverse depth is fitted, by certainty, as a linear function of colour and
    place; the less certain a pixel is, the more it takes of that function. So a plain surface
    continues what is known of its colour, and stops where another one begins (a guided filter, He
    et al. 2013, with weights). A median removes outliers and keeps edges.

    Args:
        depth: What is known.
        colors: RGB of the same frame, in [0, 1].
    """
    weight = depth.relative_certainty.clamp_max(_MOST)
    local = _local_fit(depth.inverse_depth, weight, _features(colors))
    mean = (weight * depth.inverse_depth + _LEAST * local) / (weight + _LEAST)
    smooth = _median(mean)
    return DepthMap(smooth, torch.maximum(depth.certainty, guess(smooth).certainty))


def _median(values: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Return the median over rows of five of the median over columns of five."""
    height, width = values.shape
    around = F.pad(values[None, None], (2, 2, 2, 2), mode="replicate")[0, 0]
    rows = _median_of_five([around[i : i + height] for i in range(5)])
    return _median_of_five([rows[:, i : i + width] for i in range(5)])


def _median_of_five(values: list[Tensor]) -> Tensor:
    a, b, c, d, e = values
    low = torch.maximum(torch.minimum(a, b), torch.minimum(d, e))
    high = torch.minimum(torch.maximum(a, b), torch.maximum(d, e))
    return torch.maximum(torch.minimum(low, high), torch.minimum(torch.maximum(low, high), c))


def _features(colors: Float[Tensor, "3 h w"]) -> Float[Tensor, "5 h w"]:
    """Return lightness, two differences of colours, and place."""
    tint = (_opponents(colors.device) @ colors.flatten(1)).view_as(colors)
    return torch.cat((tint, _places(*colors.shape[1:], colors.device)))


def _local_fit(
    values: Float[Tensor, "h w"], weight: Float[Tensor, "h w"], features: Float[Tensor, "k h w"]
) -> Float[Tensor, "h w"]:
    """Return the weighted linear fit of values by features around each pixel, at least 0."""
    count, height, width = features.shape
    # One pixel of each cell is enough for sums over many.
    sampled = (..., slice(_CELL // 2, None, _CELL), slice(_CELL // 2, None, _CELL))
    ones = torch.ones_like(weight[sampled])[None]
    table = torch.cat((ones, features[sampled], values[sampled][None]))
    rows, columns = _pairs(count + 2, values.device)
    products = table.index_select(0, rows) * (table * weight[sampled]).index_select(0, columns)
    sums = _around(products)
    total = sums[:1].clamp_min(1e-6)
    moments = sums / total
    first = moments[: count + 2]  # of 1, features, values
    second = moments.index_select(0, _square(count, values.device)).unflatten(0, (count, count + 1))
    spread = second - first[1 : count + 1, None] * first[None, 1:]  # (k, k + 1, h4, w4)
    table = spread.permute(2, 3, 0, 1)
    slopes = solve(table[..., :count] + _ridge(values.device), table[..., count])
    offset = first[-1] - (slopes.permute(2, 0, 1) * first[1 : count + 1]).sum(dim=0)
    coarse = torch.cat((slopes.permute(2, 0, 1), offset[None]))[None]
    fine = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[0]
    return (fine[count] + (fine[:count] * features).sum(dim=0)).clamp_min(0)


def _around(cells: Float[Tensor, "k h4 w4"]) -> Float[Tensor, "k h4 w4"]:
    """Return sums over what lies around the cells."""
    rows, columns = cells.shape[-2:]
    near, far = (
        _gaussian(rows, deviation, cells.device)
        @ cells
        @ _gaussian(columns, deviation, cells.device).mT
        for deviation in (_NEAR, _FAR)
    )
    return near + _FAR_SHARE * far


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _gaussian(size: int, deviation: float, device: torch.device) -> Float[Tensor, "n n"]:
    places = torch.arange(size, dtype=torch.float32)
    weights = (-((places[:, None] - places) ** 2) / (2 * deviation**2)).exp()
    return (weights / (deviation * (2 * torch.pi) ** 0.5)).to(device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _opponents(device: torch.device) -> Float[Tensor, "3 3"]:
    """Return lightness, red less green and yellow less blue, about as large as in CIELAB / 100."""
    rows = [[0.3, 0.59, 0.11], [0.8, -0.9, 0.1], [0.4, 0.5, -0.9]]
    return torch.tensor(rows, device=device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _places(height: int, width: int, device: torch.device) -> Float[Tensor, "2 h w"]:
    u, v = torch.arange(width) / width, torch.arange(height)[:, None] / width
    return torch.stack((u.expand(height, width), v.expand(height, width))).to(device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _pairs(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the pairs of quantities whose products are summed up; those with the first first."""
    pairs = [p for p in combinations_with_replacement(range(count), 2) if p[0] < count - 1]
    first, second = torch.tensor(pairs, device=device).unbind(1)
    return first, second


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _square(count: int, device: torch.device) -> Tensor:
    """Return where the products of features with features and values are among the pairs."""
    pairs = [p for p in combinations_with_replacement(range(count + 2), 2) if p[0] < count + 1]
    place = {pair: i for i, pair in enumerate(pairs)}
    wanted = [place[min(i, j), max(i, j)] for i in range(1, count + 1) for j in range(1, count + 2)]
    return torch.tensor(wanted, device=device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _ridge(device: torch.device) -> Float[Tensor, "k k"]:
    variances = [_COLOR_VARIANCE] * 3 + [_PLACE_VARIANCE] * 2
    return torch.diag(torch.tensor(variances)).to(device)
