"""Functions of many small operations, compiled as the operations that their first call does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from core.recording import map_tensors, tensors_of
from core.types import TensorDataclass

T = TypeVar("T", bound=Tensor | TensorDataclass)


class Traced(Generic[T]):
    """A function of tensors, or dataclasses of them, that torch.compile fuses as one graph.

    Its first call shows the operations, which later ones do again: nothing may depend on values,
    or on shapes that change. Tensors from elsewhere are constants of the graph, where torch.compile
    by itself would compute again whatever a cache holds.

    Args:
        function: What to compile.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._compiled: Callable[..., tuple[Tensor, ...]] | None = None
        self._result: T

    def __call__(self, *arguments: Any) -> T:
        """Call the compiled function; the first call compiles, which takes about a minute."""
        if self._compiled is None:
            self._compiled = self._trace(arguments)
        following = iter(self._compiled(*tensors_of(arguments)))
        return map_tensors(self._result, lambda _: next(following))

    def _trace(self, arguments: tuple[Any, ...]) -> Callable[..., tuple[Tensor, ...]]:
        from torch.fx.experimental.proxy_tensor import make_fx  # imports the compiler

        def of_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
            following = iter(tensors)
            values = [map_tensors(value, lambda _: next(following)) for value in arguments]
            self._result = self._function(*values)
            return tuple(tensors_of([self._result]))

        with torch.inference_mode(mode=False), torch.no_grad():
            # Tensors that were made in inference mode cannot be traced; copies can.
            graph = make_fx(of_tensors)(*[tensor.clone() for tensor in tensors_of(arguments)])
        return torch.compile(graph.forward, fullgraph=True, dynamic=False)
