"""Depth supervision up to scale and offset."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_DEPTH_EPS = 1e-8
_MIN_DEVIATION = 1e-6
_TRIM_SQUARE = 0.3
_TRIM_SOFTNESS = 0.2
_TRIM_FLOOR = 0.1


def depth_loss(
    depths: Float[Tensor, "b v 1 h w"],
    inverse_depths: Float[Tensor, "b v 1 h w"],
    valid: Bool[Tensor, "b v 1 h w"],
    has_depth: Bool[Tensor, " b"],
    *,
    trimmed: bool,
) -> Float[Tensor, ""]:
    """Scale-and-shift-invariant L1 between rendered depth and relative inverse depth.

    ``1 / (depth + 1e-8)`` and the target are each centred by their median and divided by their
    mean absolute deviation, over the valid pixels of all views of a sample together, then
    compared. With ``trimmed``, differences whose square passes 0.3 are smoothly down-weighted to
    no less than 0.1, and the weight itself is not differentiated. After the scale-and-shift
    invariant losses of MiDaS (Ranftl et al. 2020, section 5).

    Args:
        depths: Rendered depth, canonical units, larger is farther.
        inverse_depths: Relative inverse depth, larger is nearer, any scale and offset.
        valid: Pixels that count. A rendered depth of 0 means that nothing was rendered there:
            such pixels should not be valid.
        has_depth: Samples that take part.
        trimmed: Whether large differences are down-weighted.

    Returns:
        Mean over the samples that take part of each one's mean over its valid pixels; 0, with
        zero gradients, where there is none.
    """
    valid = (valid & has_depth[:, None, None, None, None]).flatten(1)  # (b, v h w)
    counts = valid.sum(dim=1)
    rendered = torch.where(valid, depths.flatten(1), 1.0)
    difference = _standardize(1.0 / (rendered + _DEPTH_EPS), valid, counts) - _standardize(
        inverse_depths.flatten(1), valid, counts
    )
    errors = difference.abs()
    if trimmed:
        errors = errors * _trim_weights(difference.detach())
    per_sample = torch.where(valid, errors, 0.0).sum(dim=1) / counts.clamp_min(1)  # (b,)
    return per_sample.sum() / (counts > 0).sum().clamp_min(1)


def _standardize(
    values: Float[Tensor, "b p"], valid: Bool[Tensor, "b p"], counts: Tensor
) -> Float[Tensor, "b p"]:
    """Centre by the median and divide by the mean absolute deviation, both of valid pixels."""
    median = torch.where(counts > 0, _median(values, valid), 0.0)
    centred = values - median[:, None]
    deviation = torch.where(valid, centred.abs(), 0.0).sum(dim=1) / counts.clamp_min(1)
    return centred / deviation.clamp_min(_MIN_DEVIATION)[:, None]


def _median(values: Float[Tensor, "b p"], valid: Bool[Tensor, "b p"]) -> Float[Tensor, " b"]:
    """Return the lower middle of the valid pixels, whose gradient all pixels of that value share.

    Much of the loss's gradient passes through the median. PyTorch gives it to one of the pixels,
    on CUDA to any, so that a step would not be the same when it is taken again.
    """
    with torch.no_grad():
        median = _lower_middle(values, valid)
        tied = valid & (values == median[:, None])
    shared = torch.where(tied, values, 0.0).sum(dim=1) / tied.sum(dim=1).clamp_min(1)
    return median + (shared - shared.detach())


def _lower_middle(values: Float[Tensor, "b p"], valid: Bool[Tensor, "b p"]) -> Float[Tensor, " b"]:
    """Return the lower middle of the valid pixels; not a number where there are none."""
    valid_only = torch.where(valid, values, torch.nan)
    if not values.is_cuda:
        return valid_only.nanmedian(dim=1).values
    # There, a median's row is the work of one multiprocessor, and sorting all of it is faster.
    middle = (valid.sum(dim=1, keepdim=True) - 1).clamp_min(0) // 2
    return valid_only.sort(dim=1).values.gather(1, middle).squeeze(1)


def _trim_weights(difference: Float[Tensor, "b p"]) -> Float[Tensor, "b p"]:
    """Weigh differences: about 1 where the square is below 0.3, down to 0.1 far above."""
    excess = difference.square() - _TRIM_SQUARE
    return torch.sigmoid(-excess / (_TRIM_SOFTNESS * _TRIM_SQUARE)).clamp_min(_TRIM_FLOOR)
