"""Moving nested dataclasses of tensors to a device."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

_T = TypeVar("_T")

HOST = {"host": True}
"""Metadata of a field that stays on the CPU, where Python looks at it without waiting."""


def to_device(value: _T, device: torch.device | str) -> _T:
    """Bring a dataclass of CPU tensors, other dataclasses and plain values to ``device``.

    The host does not wait: copies to a device are in order with the work that follows there.
    """
    if isinstance(value, Tensor):
        return cast(_T, value.to(device, non_blocking=True))
    if not is_dataclass(value):
        return value
    moved: dict[str, Any] = {
        f.name: getattr(value, f.name)
        if f.metadata.get("host")
        else to_device(getattr(value, f.name), device)
        for f in fields(value)
    }
    return type(value)(**moved)
