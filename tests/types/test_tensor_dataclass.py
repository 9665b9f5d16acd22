from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from core.types import HOST, TensorDataclass


@dataclass(frozen=True)
class Inner(TensorDataclass):
    values: Tensor


@dataclass(frozen=True)
class Outer(TensorDataclass):
    inner: Inner
    weights: Tensor = field(metadata=HOST)
    label: str | None


def batch(n: int, label: str | None = None) -> Outer:
    return Outer(Inner(torch.arange(2.0 * n).view(n, 2)), -torch.arange(float(n)), label)


def assert_equal(one: Outer, other: Outer) -> None:
    assert one.label == other.label
    torch.testing.assert_close(one.tensors(), other.tensors(), atol=0, rtol=0)


def test_map_reaches_nested_tensors_in_the_order_of_the_fields() -> None:
    whole = batch(3, "same")
    shapes = []
    doubled = whole.map(lambda tensor: (shapes.append(tuple(tensor.shape)), 2 * tensor)[1])
    assert shapes == [(3, 2), (3,)] == [tuple(tensor.shape) for tensor in whole.tensors()]
    assert torch.equal(doubled.inner.values, 2 * whole.inner.values)
    assert doubled.label == "same"


def test_cat_undoes_split_and_element() -> None:
    whole = batch(3, "same")
    assert_equal(Outer.cat(whole.split([1, 2])), whole)
    assert_equal(Outer.cat([whole.element(i) for i in range(3)]), whole)
    assert_equal(whole.select(torch.tensor([1, 2])), whole.split([1, 2])[1])
    assert Inner.cat([whole.inner, whole.inner], dim=1).values.shape == (3, 4)


def test_split_gives_views_and_element_does_not() -> None:
    whole = batch(4)
    assert whole.split([1, 3])[0].weights.untyped_storage().nbytes() == 16
    assert whole.element(1).weights.untyped_storage().nbytes() == 4
    alone = batch(1)
    assert alone.element(0).weights is alone.weights


def test_fields_on_the_host_stay_there() -> None:
    moved = batch(2).to("meta")
    assert moved.inner.values.is_meta
    assert not moved.weights.is_meta


def test_detach_cuts_the_graph() -> None:
    learned = batch(2).map(lambda tensor: tensor.requires_grad_())
    assert not any(tensor.requires_grad for tensor in learned.detach().tensors())


def test_parts_with_other_plain_values_do_not_join() -> None:
    with pytest.raises(ValueError, match=r"Outer.cat: label differs between parts, \['a', 'b'\]"):
        Outer.cat([batch(1, "a"), batch(1, "b")])
