"""Batches of results: dataclasses whose tensors share their first axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def concatenate(parts: Sequence[T]) -> T:
    """Join batches of one type along the batch axis, field by field, nested ones too."""
    if len(parts) == 1:
        return parts[0]
    return combine(parts, lambda tensors: torch.cat(list(tensors)))


def take(batch: T, index: int) -> T:
    """Return element ``index`` as a batch of one; it keeps no other element's memory."""
    return combine(
        [batch], lambda only: only[0] if len(only[0]) == 1 else only[0][index : index + 1].clone()
    )


def combine(parts: Sequence[Any], join: Callable[[Sequence[Tensor]], Any]) -> Any:
    """Make one value of several of one type, whose tensors are what ``join`` makes of theirs."""
    first = parts[0]
    if isinstance(first, Tensor):
        return join(parts)
    if is_dataclass(first):
        values = (combine([getattr(p, f.name) for p in parts], join) for f in fields(first))
        return type(first)(*values)
    if all(part == first for part in parts):
        return first
    raise ValueError(f"cannot join batches that differ in {first!r}")
