"""The base of all frozen dataclasses of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound="TensorDataclass")

HOST = {"host": True}
"""Metadata of a field that :meth:`TensorDataclass.to` leaves on the CPU, to be read from Python."""


@dataclass(frozen=True)
class TensorDataclass:
    """Fields are tensors, dataclasses of this kind, or plain values, which stay what they are."""

    def tensors(self) -> list[Tensor]:
        """Return all tensors in the order of the fields, those of nested dataclasses too."""
        values = [getattr(self, field.name) for field in fields(self)]
        nested = (v.tensors() if isinstance(v, TensorDataclass) else [v] for v in values)
        return [tensor for group in nested for tensor in group if isinstance(tensor, Tensor)]

    def map(self: T, function: Callable[[Tensor], Tensor]) -> T:
        """Apply ``function`` to every tensor, in the order of the fields."""
        return _combine([self], lambda tensors: function(tensors[0]))

    def to(self: T, device: torch.device | str, *, non_blocking: bool = False) -> T:
        """Copy every tensor to ``device``, except those of fields marked :data:`HOST`."""
        return _combine(
            [self],
            lambda tensors: tensors[0].to(device, non_blocking=non_blocking),
            on_host=lambda tensors: tensors[0],
        )

    def detach(self: T) -> T:
        """Cut every tensor off from the autograd graph."""
        return self.map(Tensor.detach)

    def select(self: T, index: slice | Tensor, *, dim: int = 0) -> T:
        """Index every tensor along axis ``dim``; a slice gives views."""
        return self.map(lambda tensor: tensor[(slice(None),) * dim + (index,)])

    def element(self: T, index: int) -> T:
        """Return element ``index`` of the first axis as a batch of one.

        It is a copy where there are more elements, and does not keep their memory alive.
        """
        return self.map(
            lambda batch: batch if len(batch) == 1 else batch[index : index + 1].clone()
        )

    def split(self: T, sizes: Sequence[int]) -> list[T]:
        """Split the first axis into batches of these sizes, which are views."""
        return [self.map(lambda t, i=i: t.split(list(sizes))[i]) for i in range(len(sizes))]

    @classmethod
    def cat(cls: type[T], parts: Sequence[T], *, dim: int = 0) -> T:
        """Concatenate along axis ``dim``.

        Raises:
            ValueError: If plain values differ.
        """
        return parts[0] if len(parts) == 1 else _combine(parts, lambda ts: torch.cat(ts, dim))


_Join = Callable[[list[Tensor]], Tensor]


def _combine(parts: Sequence[T], join: _Join, on_host: _Join | None = None) -> T:
    """Build one dataclass from several of one type; ``join`` makes one tensor of theirs."""
    values: list[Any] = []
    for field in fields(parts[0]):
        column: list[Any] = [getattr(part, field.name) for part in parts]
        first = column[0]
        if isinstance(first, TensorDataclass):
            values.append(_combine(column, join, on_host))
        elif isinstance(first, Tensor):
            chosen = on_host if on_host is not None and field.metadata.get("host") else join
            values.append(chosen(column))
        elif all(value == first for value in column):
            values.append(first)
        else:
            raise ValueError(
                f"{type(parts[0]).__name__}.cat: {field.name} differs between parts, {column!r}."
            )
    return type(parts[0])(*values)
