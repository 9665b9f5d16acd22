from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from core.training.meters import Meters


def _add(meters, loss, *, skipped=False, **more):
    values = {"loss": torch.tensor(loss), **{k: torch.tensor(v) for k, v in more.items()}}
    meters.add(values, skipped=torch.tensor(skipped))


def test_means_are_over_the_steps_that_were_not_skipped():
    meters, accelerator = Meters(), Accelerator(cpu=True)
    _add(meters, 1.0)
    _add(meters, float("nan"), skipped=True)
    _add(meters, 4.0, lpips=0.5)  # a term that begins in the middle
    assert meters.read(accelerator) == pytest.approx({"loss": 2.5, "lpips": 0.5})
    assert meters.read(accelerator) == {}
    _add(meters, float("inf"), skipped=True)
    assert meters.read(accelerator) == {}


def test_a_window_goes_on_where_it_was_interrupted():
    accelerator, whole, first, second = Accelerator(cpu=True), Meters(), Meters(), Meters()
    for loss in (0.1, 0.2, 0.7):
        _add(whole, loss)
    for loss in (0.1, 0.2):
        _add(first, loss)
    second.restore(first.state(accelerator), accelerator)
    _add(second, 0.7)
    assert second.read(accelerator) == whole.read(accelerator)


def test_windows_of_another_number_of_processes_are_forgotten():
    meters = Meters()
    two = SimpleNamespace(process_index=1, num_processes=2, device=torch.device("cpu"))
    meters.restore({"loss": [[1.0, 2.0], [3.0, 4.0]]}, two)
    assert meters.state(Accelerator(cpu=True)) == {"loss": [[3.0, 4.0]]}
    meters.restore({"loss": [[1.0, 2.0]]}, two)
    assert meters.state(Accelerator(cpu=True)) == {}
