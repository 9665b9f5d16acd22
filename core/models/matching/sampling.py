"""Flow fields: reading features where a flow leads, and changing a flow's resolution.

A flow is in pixels of the input frame, (u, v) to the right and down, on a grid of any size that
covers the frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

FLOW_UNIT = 32.0
"""Pixels that the networks see as 1."""


def cell_centers(
    grid: tuple[int, int], image_size: tuple[int, int], device: torch.device
) -> Float[Tensor, "2 h w"]:
    """Return the (u, v) of the centres of a grid's cells, in pixels from the frame's corner."""
    rows, columns = grid
    u = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) * (
        image_size[1] / columns
    )
    v = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * (image_size[0] / rows)
    return torch.stack((u.expand(rows, columns), v[:, None].expand(rows, columns)))


def follow(
    values: Float[Tensor, "b c hs ws"],
    flow: Float[Tensor, "b 2 h w"],
    image_size: tuple[int, int],
) -> Float[Tensor, "b c h w"]:
    """Return what ``values`` are where the flow leads, bilinearly; the border is repeated."""
    grid = (flow.shape[-2], flow.shape[-1])
    u, v = (cell_centers(grid, image_size, flow.device) + flow).unbind(1)
    places = torch.stack((u * (2 / image_size[1]) - 1, v * (2 / image_size[0]) - 1), dim=-1)
    # Half precision would place what is read pixels away.
    read = F.grid_sample(values.float(), places, padding_mode="border", align_corners=False)
    return read.to(values.dtype)


def double(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Interpolate features or a flow, whose unit stays the pixel of the frame, to a finer grid."""
    return F.interpolate(values, scale_factor=2.0, mode="bilinear", align_corners=False)


def double_convex(
    flow: Float[Tensor, "b 2 h w"], weights: Float[Tensor, "b 36 h w"]
) -> Float[Tensor, "b 2 h2 w2"]:
    """Double a flow's grid; each fine cell is a convex combination of 3 by 3 coarse ones.

    Teed and Deng, RAFT (2020), section 3.3.

    Args:
        flow: The coarse flow.
        weights: Logits of the nine neighbours, for each of the four fine cells.
    """
    share = rearrange(weights.float(), "b (k p q) h w -> b 1 k p q h w", k=9, p=2, q=2)
    around = F.unfold(F.pad(flow, (1, 1, 1, 1), mode="replicate"), 3)
    around = rearrange(
        around, "b (uv k) (h w) -> b uv k 1 1 h w", uv=2, h=flow.shape[-2], w=flow.shape[-1]
    )
    mixed = (share.softmax(dim=2) * around).sum(dim=2)
    return rearrange(mixed, "b uv p q h w -> b uv (h p) (w q)")
