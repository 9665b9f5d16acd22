"""Decisions that a GPU takes without the host having to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor

from core.types import TensorDataclass

T = TypeVar("T", bound=TensorDataclass)


def select(condition: Bool[Tensor, "*shape"], yes: T, no: T) -> T:
    """Return the tensors of one dataclass where a condition holds, and of another elsewhere."""
    others = iter(no.tensors())
    return yes.map(lambda value: torch.where(condition, value, next(others)))


def where_needed(condition: Bool[Tensor, ""], work: Callable[[], T], otherwise: T) -> T:
    """Return the result of some work if a condition holds.

    The CPU does it then only; a GPU in any case, so that the host need not know.
    """
    if condition.is_cuda:
        return select(condition, work(), otherwise)
    return work() if condition else otherwise
