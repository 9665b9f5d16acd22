"""A Linear layer with a SiLU behind it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LinearSilu(nn.Linear):
    """``silu(x W^T + b)``, in one kernel where that was asked for; see :meth:`fuse`."""

    _kernel: Callable[[Tensor, Tensor, Tensor | None], Tensor] | None = None

    def forward(self, input: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Transform each token by itself."""
        if self._kernel is None:
            return F.silu(super().forward(input))
        return self._kernel(input.to(self.weight.dtype), self.weight, self.bias)

    def fuse(self) -> None:
        """Compute layer and SiLU in one kernel from now on: on CUDA, and without gradients.

        Nothing changes where its shape is not one that the kernel takes.
        """
        # Triton comes with PyTorch's CUDA builds only.
        from core.models.fast.linear_silu_kernel import linear_silu, takes

        if takes(self.weight):
            self._kernel = linear_silu

    @classmethod
    def of(cls, layer: nn.Linear) -> LinearSilu:
        """Return a layer with the weights of ``layer``, shared."""
        with torch.device("meta"):
            made = cls(layer.in_features, layer.out_features, bias=layer.bias is not None)
        made.weight, made.bias = layer.weight, layer.bias
        return made
