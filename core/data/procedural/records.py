"""Nested dataclasses of tensors: brought to a device, or reduced to some of their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Int
from torch import Tensor

_T = TypeVar("_T")

HOST = {"host": True}
"""Metadata of a field that stays on the CPU, where Python looks at it without waiting."""


@dataclass(frozen=True)
class Rows:
    """Positions along the first axis, for tensors on either side."""

    host: Int[Tensor, " n"]
    """On the CPU."""
    device: Int[Tensor, " n"]
    """The same positions on the device."""

    @staticmethod
    def where(chosen: Tensor, device: torch.device) -> Rows:
        """Return the positions at which a CPU mask of one axis is true."""
        host = chosen.nonzero()[:, 0]
        return Rows(host, host.to(device, non_blocking=True))


def to_device(value: _T, device: torch.device | str) -> _T:
    """Bring a dataclass of CPU tensors, other dataclasses and plain values to ``device``.

    The host does not wait: copies to a device are in order with the work that follows there.
    """
    return _map(value, lambda tensor: tensor, lambda tensor: tensor.to(device, non_blocking=True))


def take_rows(value: _T, rows: Rows) -> _T:
    """Reduce every tensor of a dataclass, and of those within it, to ``rows``."""
    return _map(value, lambda tensor: tensor[rows.host], lambda tensor: tensor[rows.device])


def _map(
    value: _T, on_host: Callable[[Tensor], Tensor], on_device: Callable[[Tensor], Tensor]
) -> _T:
    if isinstance(value, Tensor):
        return cast(_T, on_device(value))
    if not is_dataclass(value):
        return value
    mapped: dict[str, Any] = {}
    for field in fields(value):
        part = getattr(value, field.name)
        is_host = field.metadata.get("host")
        mapped[field.name] = on_host(part) if is_host else _map(part, on_host, on_device)
    return type(value)(**mapped)
