from __future__ import annotations

import threading

import pytest
import torch

from core.devices import Download
from core.recording import Recorded


def test_on_the_cpu_the_function_is_called_as_it_is() -> None:
    results = [torch.zeros(2), torch.ones(2)]
    recorded = Recorded(lambda _: results.pop(), plain_calls=1)
    assert [recorded(torch.zeros(1)).sum().item() for _ in range(2)] == [2, 0]


@pytest.mark.gpu
def test_a_shape_that_came_before_is_recorded() -> None:
    calls = 0

    def double(values: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return 2 * values

    recorded = Recorded(double, plain_calls=1)
    for i in range(5):
        values = torch.full((3,), float(i), device="cuda")
        assert torch.equal(recorded(values), 2 * values)
        assert calls == (1 if i == 0 else 5), "three to warm up, and the one that is recorded"


@pytest.mark.gpu
def test_other_threads_download_while_a_graph_is_recorded() -> None:
    stop, failures = threading.Event(), []

    def download() -> None:
        try:
            while not stop.is_set():
                Download(torch.ones(1000, device="cuda")).result()
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=download)
    thread.start()
    try:
        for size in range(1, 4):
            values = torch.ones(size, device="cuda")
            assert torch.equal(Recorded(lambda x: x + 1)(values), values + 1)
    finally:
        stop.set()
        thread.join()
    assert not failures
