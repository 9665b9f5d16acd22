"""CUDA graphs: the GPU work of a function, recorded once and replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from core.types import TensorDataclass

T = TypeVar("T", bound=Tensor | TensorDataclass)
_WARM_UPS = 3
_GRAPHS = 4
"""Shapes of inputs for which a recording is kept."""
_LARGE = 2**19
"""Elements from which on a tensor is copied by a launch of its own."""


class Recorded(Generic[T]):
    """A function of tensors, or dataclasses of them, that is recorded as a CUDA graph.

    There is one recording for each set of shapes, at most ``_GRAPHS``; the oldest is dropped.
    Results are copies, which later calls do not overwrite. On the CPU the function is called as it
    is.

    Args:
        function: What to record.
        plain_calls: How many times it is called as it is with arguments of the same shapes before
            that is recorded: a recording takes as long as some calls, and some shapes come once.
    """

    def __init__(self, function: Callable[..., T], *, plain_calls: int = 0) -> None:
        self._function = function
        self._plain_calls = plain_calls
        self._calls: Counter[tuple[object, ...]] = Counter()
        self._recordings: dict[tuple[object, ...], _Recording] = {}

    def __call__(self, *arguments: Any) -> T:
        """Replay the recording for arguments of these shapes; the first call makes it."""
        tensors = tensors_of(arguments)
        if tensors[0].device.type != "cuda":
            return self._function(*arguments)
        key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        if self._calls[key] < self._plain_calls:
            self._calls[key] += 1
            return self._function(*arguments)
        if key not in self._recordings:
            if len(self._recordings) == _GRAPHS:
                oldest = next(iter(self._recordings))
                del self._recordings[oldest], self._calls[oldest]
            self._recordings[key] = _Recording(self._function, arguments)
        return self._recordings[key].play(arguments)


class _Recording:
    """One CUDA graph with the memory of its inputs and outputs."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        kept = [map_tensors(argument, torch.clone) for argument in arguments]
        self._inputs = tensors_of(kept)
        self._input_groups = _groups(self._inputs)
        self._device = self._inputs[0].device
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            # Work that the function starts on plain streams has a lower priority than this one.
            urgent = torch.cuda.Stream(priority=-1)
            urgent.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(urgent):
                for _ in range(_WARM_UPS):
                    function(*kept)
            torch.cuda.current_stream().wait_stream(urgent)
            # Other threads download and write meanwhile, which a global mode would forbid.
            with torch.cuda.graph(self._graph, stream=urgent, capture_error_mode="thread_local"):
                self._result = function(*kept)
                self._outputs = _Outputs(tensors_of([self._result]))

    def play(self, arguments: tuple[Any, ...]) -> Any:
        values = tensors_of(arguments)
        for group in self._input_groups:
            if len(group) == 1:
                self._inputs[group[0]].copy_(values[group[0]])
            else:
                places = [self._inputs[i] for i in group]
                torch._foreach_copy_(places, [values[i] for i in group])  # pyright: ignore[reportPrivateImportUsage]
        with torch.cuda.device(self._device):
            self._graph.replay()
        following = iter(self._outputs.copies())
        return map_tensors(self._result, lambda _: next(following))


class _Outputs:
    """Outputs of a graph, the small ones side by side in memory, so that few copies take all.

    Made while the graph is recorded, which then lays them there.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors
        groups = _groups(tensors)
        self._alone = [group[0] for group in groups if len(group) == 1]
        self._together = [group for group in groups if len(group) > 1]
        self._packed = [
            torch.cat([tensors[i].reshape(-1) for i in group]) for group in self._together
        ]

    def copies(self) -> list[Tensor]:
        """Return a copy of each."""
        found = {i: self._tensors[i].clone() for i in self._alone}
        for group, packed in zip(self._together, self._packed, strict=True):
            parts = packed.clone().split([self._tensors[i].numel() for i in group])
            for i, part in zip(group, parts, strict=True):
                found[i] = part.view(self._tensors[i].shape)
        return [found[i] for i in range(len(found))]


def _groups(tensors: list[Tensor]) -> list[list[int]]:
    """Return the numbers of those to copy together: small ones of a type, large ones alone."""
    groups: dict[object, list[int]] = {}
    for i, tensor in enumerate(tensors):
        groups.setdefault(i if tensor.numel() >= _LARGE else tensor.dtype, []).append(i)
    return list(groups.values())


def tensors_of(values: Iterable[Tensor | TensorDataclass]) -> list[Tensor]:
    """Return all tensors of some values, those of dataclasses in the order of their fields."""
    groups = ([value] if isinstance(value, Tensor) else value.tensors() for value in values)
    return [tensor for group in groups for tensor in group]


def map_tensors(value: T, function: Callable[[Tensor], Tensor]) -> T:
    """Apply a function to a tensor, or to all of a dataclass."""
    return cast(T, function(value)) if isinstance(value, Tensor) else value.map(function)
