from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from core.types.batching import concatenate, take


@dataclass(frozen=True)
class Inner:
    values: torch.Tensor


@dataclass(frozen=True)
class Outer:
    inner: Inner
    weights: torch.Tensor
    label: str | None


def test_what_is_joined_can_be_taken_apart() -> None:
    parts = [Outer(Inner(torch.full((1, 2), i)), torch.full((1,), -i), "same") for i in range(3)]
    joined = concatenate(parts)
    assert joined.inner.values.shape == (3, 2)
    for i, part in enumerate(parts):
        one = take(joined, i)
        assert torch.equal(one.inner.values, part.inner.values)
        assert torch.equal(one.weights, part.weights)
        assert one.label == "same"


def test_one_element_does_not_keep_the_batch_alive() -> None:
    batch = Outer(Inner(torch.zeros(4, 2)), torch.zeros(4), None)
    assert take(batch, 1).weights.untyped_storage().nbytes() == 4


def test_batches_of_different_kinds_do_not_join() -> None:
    one = Outer(Inner(torch.zeros(1, 2)), torch.zeros(1), "one")
    other = Outer(Inner(torch.zeros(1, 2)), torch.zeros(1), "other")
    with pytest.raises(ValueError, match="differ"):
        concatenate([one, other])
