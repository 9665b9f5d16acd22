"""Structural similarity in two kernels, which keep what a window sums in registers.

Operations of PyTorch would write and read all sums once for each of a window's places. CUDA only,
without gradients. Triton comes with PyTorch's CUDA builds only: import this where it is used.
"""

from __future__ import annotations

from functools import cache

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

_BLOCK = 256
"""Places of a program."""
_SUMS = 4
"""Of x, of y, of x² + y², and of x y."""


@triton.jit
def _sum_rows(
    x_pointer,
    y_pointer,
    taps_pointer,
    sums_pointer,
    images,
    height,
    width,
    origin,
    window: tl.constexpr,
    block: tl.constexpr,
):
    places = (height - window + 1) * width
    blocks = tl.cdiv(places, block)
    image = (tl.program_id(0) // blocks).to(tl.int64)
    place = tl.program_id(0) % blocks * block + tl.arange(0, block)
    there = place < places
    sum_x = tl.zeros((block,), tl.float32)
    sum_y = tl.zeros((block,), tl.float32)
    squares = tl.zeros((block,), tl.float32)
    products = tl.zeros((block,), tl.float32)
    for i in range(window):
        tap = tl.load(taps_pointer + i)
        at = image * height * width + place + i * width
        x = tl.load(x_pointer + at, mask=there, other=0.0) - origin
        y = tl.load(y_pointer + at, mask=there, other=0.0) - origin
        sum_x += tap * x
        sum_y += tap * y
        squares += tap * (x * x + y * y)
        products += tap * (x * y)
    at = image * places + place
    tl.store(sums_pointer + at, sum_x, mask=there)
    tl.store(sums_pointer + images * places + at, sum_y, mask=there)
    tl.store(sums_pointer + 2 * images * places + at, squares, mask=there)
    tl.store(sums_pointer + 3 * images * places + at, products, mask=there)


@triton.jit
def _compare_columns(
    sums_pointer,
    taps_pointer,
    totals_pointer,
    images,
    rows,
    width,
    origin,
    c1,
    c2,
    window: tl.constexpr,
    block: tl.constexpr,
):
    columns = width - window + 1
    blocks = tl.cdiv(rows * columns, block)
    image = (tl.program_id(0) // blocks).to(tl.int64)
    place = tl.program_id(0) % blocks * block + tl.arange(0, block)
    there = place < rows * columns
    mean_x = tl.zeros((block,), tl.float32)
    mean_y = tl.zeros((block,), tl.float32)
    squares = tl.zeros((block,), tl.float32)
    products = tl.zeros((block,), tl.float32)
    step = images * rows * width  # from one kind of sums to the next
    for i in range(window):
        tap = tl.load(taps_pointer + i)
        at = image * rows * width + place // columns * width + place % columns + i
        mean_x += tap * tl.load(sums_pointer + at, mask=there, other=0.0)
        mean_y += tap * tl.load(sums_pointer + step + at, mask=there, other=0.0)
        squares += tap * tl.load(sums_pointer + 2 * step + at, mask=there, other=0.0)
        products += tap * tl.load(sums_pointer + 3 * step + at, mask=there, other=0.0)
    variances = squares - mean_x * mean_x - mean_y * mean_y
    covariance = products - mean_x * mean_y
    mean_x += origin
    mean_y += origin
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    similarity = luminance * ((2 * covariance + c2) / (variances + c2))
    total = tl.sum(tl.where(there, similarity, 0.0))
    tl.store(totals_pointer + tl.program_id(0), total)


@cache
@torch.inference_mode(False)
def _on(device: torch.device, taps: tuple[float, ...]) -> Float[Tensor, " window"]:
    """Return the weights on a device, once: a CUDA graph cannot fetch them from the host."""
    return torch.tensor(taps, device=device)


def ssim_in_kernels(
    images: Float[Tensor, "b c h w"],
    targets: Float[Tensor, "b c h w"],
    taps: tuple[float, ...],
    *,
    origin: float,
    c1: float,
    c2: float,
) -> Float[Tensor, " b"]:
    """Return what :func:`core.metrics.ssim` does, of float32 images.

    Args:
        images: Values in [0, 1].
        targets: The truth, of the same shape.
        taps: Weights of the window, along either axis.
        origin: Value around which sums are taken.
        c1: Constant of the luminance.
        c2: Constant of the structure.
    """
    batch, channels, height, width = images.shape
    count, window = batch * channels, len(taps)
    rows, columns = height - window + 1, width - window + 1
    weights = _on(images.device, taps)
    sums = torch.empty(_SUMS, count, rows, width, device=images.device)
    blocks = triton.cdiv(rows * columns, _BLOCK)
    totals = torch.empty(batch, channels * blocks, device=images.device)
    constants = {"window": window, "block": _BLOCK}
    with torch.cuda.device_of(images):
        _sum_rows[(count * triton.cdiv(rows * width, _BLOCK),)](
            images.contiguous(),
            targets.contiguous(),
            weights,
            sums,
            count,
            height,
            width,
            origin,
            **constants,  # pyright: ignore[reportArgumentType]
        )
        _compare_columns[(count * blocks,)](
            sums,
            weights,
            totals,
            count,
            rows,
            width,
            origin,
            c1,
            c2,
            **constants,  # pyright: ignore[reportArgumentType]
        )
    return totals.sum(dim=1) / (channels * rows * columns)
