"""How close predicted depth is to measured depth, up to scale and shift of its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_FARTHEST = 100.0
"""Distance at which aligned inverse depth is cut, in the unit of the truth: metres."""
_DELTA = 1.25


@dataclass(frozen=True)
class DepthErrors:
    """Errors of aligned depth."""

    abs_rel: float
    """Mean of ``|d - d*| / d*``."""
    delta: float
    """Share of pixels with ``max(d / d*, d* / d) < 1.25``."""


def align_inverse_depth(
    inverse_depths: Float[Tensor, " n"], truth: Float[Tensor, " n"]
) -> tuple[float, float]:
    """Return the scale and shift of inverse depths that lie nearest to true ones, least squares.

    Args:
        inverse_depths: Predictions in any unit, at pixels where depth was measured.
        truth: Inverse of the measured depths.
    """
    x, y = inverse_depths.double(), truth.double()
    centered = x - x.mean()
    variance = centered.square().mean()
    scale = (centered * (y - y.mean())).mean() / variance if variance > 0 else torch.zeros(())
    return float(scale), float(y.mean() - scale * x.mean())


def depth_errors(inverse_depths: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> DepthErrors:
    """Compare aligned inverse depths with true ones, both 1/m; the former are cut at 1/100."""
    depth, true_depth = 1 / inverse_depths.double().clamp_min(1 / _FARTHEST), 1 / truth.double()
    ratio = torch.maximum(depth / true_depth, true_depth / depth)
    return DepthErrors(
        abs_rel=((depth - true_depth).abs() / true_depth).mean().item(),
        delta=(ratio < _DELTA).double().mean().item(),
    )


def row_means(
    truth: Float[Tensor, "t h w"], valid: Bool[Tensor, "t h w"]
) -> Float[Tensor, "t h w"]:
    """Return the best function of the image row: the mean of the valid values of each row.

    Args:
        truth: Inverse depths of images that share the function.
        valid: Where they are known.
    """
    count = valid.sum(dim=(0, 2))
    sums = torch.where(valid, truth, 0.0).double().sum(dim=(0, 2))
    return (sums / count.clamp_min(1))[None, :, None].expand_as(truth)
