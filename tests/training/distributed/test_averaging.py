from types import SimpleNamespace

import pytest
import torch
from torch.futures import Future

from core.training.distributed import averaging


def _average(monkeypatch, others, failure=None):
    """Average this process's gradients, of ones, with those of others."""

    def all_gather(gathered, mine, **_options):
        for place, value in zip(gathered, [mine, *others], strict=True):
            place.copy_(value)
        future = Future()
        if failure is None:
            future.set_result([gathered])
        else:
            future.set_exception(failure)
        return SimpleNamespace(get_future=lambda: future)

    monkeypatch.setattr(averaging.dist, "all_gather", all_gather)
    group = SimpleNamespace(size=lambda: 1 + len(others))
    bucket = SimpleNamespace(buffer=lambda: torch.ones(3))
    return averaging._average(group, bucket).wait()


def test_gradients_are_added_in_the_order_of_ranks(monkeypatch):
    # In float32, 1 is lost beside 1e8, unless those have cancelled before.
    others = [torch.tensor([3.0, -1e8, 1e8]), torch.tensor([-1.0, 1e8, -1e8])]
    assert _average(monkeypatch, others).tolist() == [1.0, 0.0, 0.0]
    assert _average(monkeypatch, others[:1]).tolist() == [2.0, -5e7, 5e7]


def test_a_process_that_is_lost_is_an_error(monkeypatch):
    with pytest.raises(RuntimeError, match="closed by peer"):
        _average(monkeypatch, [torch.ones(3)], RuntimeError("Connection closed by peer"))
