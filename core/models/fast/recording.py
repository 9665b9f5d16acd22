"""CUDA graphs: what a function does on the GPU, recorded once and played back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from core.types.batching import combine

T = TypeVar("T")
_WARM_UPS = 3
_GRAPHS = 4
"""Shapes of inputs for which a recording is kept."""
_LARGE = 2**19
"""Elements from which on a tensor is worth a launch of its own."""


class Recorded(Generic[T]):
    """A function of tensors, or dataclasses of them, that is recorded as a CUDA graph.

    There is one recording for each set of shapes, at most ``_GRAPHS`` of them; the oldest goes.
    Results are copies, and stay as they are.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._recordings: dict[tuple[object, ...], _Recording] = {}

    def __call__(self, *arguments: Any) -> T:
        """Play the recording for arguments of these shapes, made now if there is none."""
        key = tuple((tuple(t.shape), t.dtype) for argument in arguments for t in tensors(argument))
        if key not in self._recordings:
            if len(self._recordings) == _GRAPHS:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[key] = _Recording(self._function, arguments)
        return self._recordings[key].play(arguments)


class _Recording:
    """One CUDA graph with the memory of its inputs and outputs."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        kept = tuple(clone(argument) for argument in arguments)
        self._inputs = [tensor for argument in kept for tensor in tensors(argument)]
        self._device = self._inputs[0].device
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            # What the function starts beside itself, on plain streams, only fills what is left.
            urgent = torch.cuda.Stream(priority=-1)
            urgent.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(urgent):
                for _ in range(_WARM_UPS):
                    function(*kept)
            torch.cuda.current_stream().wait_stream(urgent)
            with torch.cuda.graph(self._graph, stream=urgent):
                self._result = function(*kept)
        self._outputs = tensors(self._result)

    def play(self, arguments: tuple[Any, ...]) -> Any:
        given = [tensor for argument in arguments for tensor in tensors(argument)]
        _copy_all(self._inputs, given)
        with torch.cuda.device(self._device):
            self._graph.replay()
        copies = [torch.empty_like(output) for output in self._outputs]
        _copy_all(copies, self._outputs)
        following = iter(copies)
        return combine([self._result], lambda _: next(following))


def _copy_all(places: list[Tensor], values: list[Tensor]) -> None:
    """Copy large tensors one by one, at full speed, and the small ones in one launch."""
    small_places: list[Tensor] = []
    small_values: list[Tensor] = []
    for place, value in zip(places, values, strict=True):
        if place.numel() >= _LARGE:
            place.copy_(value)
        else:
            small_places.append(place)
            small_values.append(value)
    if small_places:
        torch._foreach_copy_(small_places, small_values)  # pyright: ignore[reportPrivateImportUsage]


def tensors(value: object) -> list[Tensor]:
    """Return the tensors of a tensor or of a dataclass, in the order of its fields."""
    if isinstance(value, Tensor):
        return [value]
    if is_dataclass(value):
        return [t for field in fields(value) for t in tensors(getattr(value, field.name))]
    return []


def clone(value: T) -> T:
    """Copy a tensor, or every tensor of a dataclass."""
    return combine([value], lambda only: only[0].clone())
