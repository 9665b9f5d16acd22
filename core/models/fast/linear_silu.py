"""A Linear layer and its SiLU in one kernel, for many tokens of few channels.

Two kernels would write the output twice, which is most of such a layer's time. CUDA only, without
gradients. Triton comes with PyTorch's CUDA builds only: import this module where it is used.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor, nn

_ROWS, _COLUMNS, _DEPTH = 128, 64, 32
"""Tokens and output channels of a program's tile, and input channels of one step; measured fastest
on an H100, by a few per cent."""


class LinearSilu(nn.Linear):
    """``silu(x W^T + b)``."""

    @classmethod
    def of(cls, layer: nn.Linear) -> LinearSilu:
        """Return a layer that shares the weights of ``layer``."""
        with torch.device("meta"):
            made = cls(layer.in_features, layer.out_features, bias=layer.bias is not None)
        made.weight, made.bias = layer.weight, layer.bias
        return made

    def forward(self, input: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Transform each token by itself."""
        return linear_silu(input.to(self.weight.dtype), self.weight, self.bias)


def fits(layer: nn.Linear) -> bool:
    """Return whether the kernel takes a layer of this size."""
    return layer.out_features % _COLUMNS == 0 and layer.in_features % _DEPTH == 0


@triton.jit
def _kernel(
    x_pointer,
    weight_pointer,
    bias_pointer,
    output_pointer,
    num_rows,
    num_columns,
    x_stride,
    width: tl.constexpr,
    has_bias: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
    depth: tl.constexpr,
):
    # Programs that share rows follow one another, so that all but the first find them in the cache.
    column_tiles = num_columns // tile_columns
    rows = tl.program_id(0) // column_tiles * tile_rows + tl.arange(0, tile_rows)
    columns = tl.program_id(0) % column_tiles * tile_columns + tl.arange(0, tile_columns)
    depths = tl.arange(0, depth)
    there = rows[:, None] < num_rows
    x_pointers = x_pointer + rows[:, None].to(tl.int64) * x_stride + depths[None, :]
    weight_pointers = weight_pointer + columns[None, :] * width + depths[:, None]
    total = tl.zeros((tile_rows, tile_columns), tl.float32)
    for start in range(0, width, depth):
        x = tl.load(x_pointers + start, mask=there, other=0.0)
        weight = tl.load(weight_pointers + start)
        total = tl.dot(x, weight, total, input_precision="tf32")
    if has_bias:
        total += tl.load(bias_pointer + columns)[None, :].to(tl.float32)
    # Rounded before the SiLU, too, as the layer by itself does.
    product = total.to(output_pointer.dtype.element_ty).to(tl.float32)
    silu = product * tl.sigmoid(product)
    outputs = output_pointer + rows[:, None].to(tl.int64) * num_columns + columns[None, :]
    tl.store(outputs, silu.to(output_pointer.dtype.element_ty), mask=there)


@torch.library.triton_op("streamsplat::linear_silu", mutates_args={})
def linear_silu(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``silu(x @ weight.T + bias)``; float32 products are TF32.

    Args:
        x: Tokens, (*batch, in).
        weight: Of x's type, (out, in), multiples of 64 and of 32.
        bias: (out,), or None.
    """
    tokens = x.reshape(-1, x.shape[-1])
    if tokens.stride(1) != 1:
        tokens = tokens.contiguous()
    columns = weight.shape[0]
    output = tokens.new_empty(len(tokens), columns)
    programs = triton.cdiv(len(tokens), _ROWS) * (columns // _COLUMNS)
    torch.library.wrap_triton(_kernel)[(programs,)](
        tokens,
        weight,
        weight if bias is None else bias,
        output,
        len(tokens),
        columns,
        tokens.stride(0),
        width=tokens.shape[1],
        has_bias=bias is not None,
        tile_rows=_ROWS,
        tile_columns=_COLUMNS,
        depth=_DEPTH,
        num_warps=8,
        num_stages=4 if x.element_size() == 2 else 3,
    )
    return output.view(*x.shape[:-1], columns)
