"""Dataclasses of tensors reduced to some of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from core.types import TensorDataclass

_T = TypeVar("_T", bound=TensorDataclass)


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


def take_rows(value: _T, rows: Rows) -> _T:
    """Reduce every tensor of a dataclass, on the CPU or on the device, to ``rows``."""
    return value.map(lambda tensor: tensor[rows.host if tensor.is_cpu else rows.device])
