from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from core.devices import has_c_compiler
from core.models.fast.tracing import Traced
from core.types import TensorDataclass


@dataclass(frozen=True)
class Pair(TensorDataclass):
    one: Tensor
    two: Tensor


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def table() -> Tensor:
    return torch.arange(3.0)


@pytest.mark.skipif(not has_c_compiler(), reason="torch.compile needs a C compiler")
def test_a_traced_function_does_again_what_it_did_first() -> None:
    calls = []

    def work(pair: Pair, factor: Tensor) -> Pair:
        calls.append(1)
        return Pair(pair.two * table() + factor, (pair.one @ pair.one).sin())

    traced = Traced(work)
    with torch.inference_mode():
        for seed in range(3):
            torch.manual_seed(seed)
            pair, factor = Pair(torch.rand(3, 3), torch.rand(4, 3)), torch.rand(3)
            found, expected = traced(pair, factor), work(pair, factor)
            torch.testing.assert_close(found.one, expected.one)
            torch.testing.assert_close(found.two, expected.two)
    assert len(calls) == 3 + 1, "traced once"
