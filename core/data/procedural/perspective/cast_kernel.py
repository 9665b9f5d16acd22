"""The search for the nearest rectangle as one kernel, which reads nothing but the rectangles.

Operations of PyTorch would write and read every point several times for each rectangle. CUDA only.
Triton comes with PyTorch's CUDA builds only: import this module where it is used.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 256
"""Points of a program."""


# Sizes differ from batch to batch; a variant for each would be compiled again and again.
@triton.jit(do_not_specialize=["points", "width", "views", "count", "whole"])
def _kernel(
    back_pointer,
    x_pointer,
    y_pointer,
    sprites_pointer,
    chosen_pointer,
    depths_pointer,
    owners_pointer,
    points,
    width,
    views,
    count,
    whole,
    side,
    x_stride_b,
    x_stride_v,
    x_stride_h,
    x_stride_w,
    y_stride_b,
    y_stride_v,
    y_stride_h,
    y_stride_w,
    block: tl.constexpr,
):
    frame = tl.program_id(1)
    scene, view = frame // views, frame % views
    point = tl.program_id(0) * block + tl.arange(0, block)
    there = point < points
    row, column = point // width, point % width
    x_place = scene * x_stride_b + view * x_stride_v + row * x_stride_h + column * x_stride_w
    y_place = scene * y_stride_b + view * y_stride_v + row * y_stride_h + column * y_stride_w
    x = tl.load(x_pointer + x_place, mask=there, other=0.0)
    y = tl.load(y_pointer + y_place, mask=there, other=0.0)
    nearest = tl.zeros((block,), tl.float32)
    owner = tl.zeros((block,), tl.int32) + count
    for index in range(0, count):
        place = back_pointer + (frame * count + index) * 9
        a = tl.load(place) * x + (tl.load(place + 1) * y + tl.load(place + 2))
        b = tl.load(place + 3) * x + (tl.load(place + 4) * y + tl.load(place + 5))
        depth = tl.load(place + 6) * x + (tl.load(place + 7) * y + tl.load(place + 8))
        hit = (tl.maximum(tl.abs(a), tl.abs(b)) <= depth) & (depth > nearest) & there
        if index >= whole:
            sprite = tl.load(chosen_pointer + scene * (count - whole) + index - whole)
            texels = sprites_pointer + sprite * side * side
            u = 0.5 * side * (tl.where(hit, a / depth, 0.0) + 1.0) - 0.5
            v = 0.5 * side * (tl.where(hit, b / depth, 0.0) + 1.0) - 0.5
            left, upper = tl.floor(u), tl.floor(v)
            total = tl.zeros((block,), tl.float32)
            for corner in range(4):
                c, r = left + corner % 2, upper + corner // 2
                valid = hit & (c >= 0) & (c < side) & (r >= 0) & (r < side)
                texel = r.to(tl.int32) * side + c.to(tl.int32)
                value = tl.load(texels + texel, mask=valid, other=0.0)
                total += value * (1.0 - tl.abs(u - c)) * (1.0 - tl.abs(v - r))
            hit = hit & (total >= 0.5)
        nearest = tl.where(hit, depth, nearest)
        owner = tl.where(hit, index, owner)
    place = frame.to(tl.int64) * points + point
    tl.store(depths_pointer + place, nearest, mask=there)
    tl.store(owners_pointer + place, owner.to(tl.int16), mask=there)


def cast_in_kernel(
    back: Float[Tensor, "b v p 3 3"],
    sprites: Float[Tensor, "o 1 s s"],
    chosen: Int[Tensor, "b c"],
    x: Float[Tensor, "b v h w"],
    y: Float[Tensor, "b v h w"],
) -> tuple[Float[Tensor, "b v h w"], Int[Tensor, "b v h w"]]:
    """Return inverse depths and owners as :func:`..raycast.cast` does; x and y may be expanded.

    Args:
        back: Each rectangle's way back from each view.
        sprites: All outlines.
        chosen: Which of them the last rectangles have.
        x: View coordinates.
        y: See ``x``.
    """
    views, count = back.shape[1:3]
    points = x.shape[2] * x.shape[3]
    depths = torch.empty(x.shape, device=x.device)
    owners = torch.empty(x.shape, device=x.device, dtype=torch.int16)
    grid = (triton.cdiv(points, _BLOCK), x.shape[0] * views)
    _kernel[grid](
        back.contiguous(),
        x,
        y,
        sprites,
        chosen.contiguous(),
        depths,
        owners,
        points,
        x.shape[3],
        views,
        count,
        count - chosen.shape[1],
        sprites.shape[-1],
        *x.stride(),
        *y.stride(),
        block=_BLOCK,  # pyright: ignore[reportArgumentType]
    )
    return depths, owners
