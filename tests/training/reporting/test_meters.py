import pytest
import torch
from accelerate import Accelerator

from core.training.reporting.meters import Meters


def _add(window, loss, *, skipped=False, **more):
    values = {"loss": torch.tensor(loss), **{k: torch.tensor(v) for k, v in more.items()}}
    window.add(values, skipped=torch.tensor(skipped))


def test_means_are_over_the_steps_that_were_not_skipped():
    window, accelerator = Meters(), Accelerator(cpu=True)
    _add(window, 1.0)
    _add(window, float("nan"), skipped=True)
    _add(window, 4.0, lpips=0.5)  # a term that begins in the middle
    assert window.read(accelerator) == pytest.approx({"loss": 2.5, "lpips": 0.5})
    assert window.read(accelerator) == {}
    _add(window, float("inf"), skipped=True)
    assert window.read(accelerator) == {}


def test_a_window_resumes_where_it_was_interrupted():
    accelerator, whole, first, second = Accelerator(cpu=True), Meters(), Meters(), Meters()
    for loss in (0.1, 0.2, 0.7):
        _add(whole, loss)
    for loss in (0.1, 0.2):
        _add(first, loss)
    second.restore(first.state(accelerator), accelerator)
    _add(second, 0.7)
    assert second.read(accelerator) == whole.read(accelerator)


def test_sums_of_another_number_of_processes_are_dropped():
    accelerator, window = Accelerator(cpu=True), Meters()
    window.restore({"loss": [[1.0, 2.0], [3.0, 4.0]]}, accelerator)
    assert window.state(accelerator) == {}
