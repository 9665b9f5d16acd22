"""Which boxes hold which points."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def list_boxes(
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
