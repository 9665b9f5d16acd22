from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from core.training.reporting import meters
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
    window = Meters()
    two = SimpleNamespace(process_index=1, num_processes=2, device=torch.device("cpu"))
    window.restore({"loss": [[1.0, 2.0], [3.0, 4.0]]}, two)
    assert window.state(Accelerator(cpu=True)) == {"loss": [[3.0, 4.0]]}
    window.restore({"loss": [[1.0, 2.0]]}, two)
    assert window.state(Accelerator(cpu=True)) == {}


def test_a_process_with_fewer_values_does_not_mix_names_up(monkeypatch):
    """A broken step has no losses, in the process whose network broke it."""
    broken = Meters()
    _add(broken, 0.0, skipped=True)
    broken._totals = {"grad_norm": broken._totals["loss"]}  # it has met this name alone
    monkeypatch.setattr(meters, "gather_object", lambda own: [["loss", "grad_norm"], *own])
    others = torch.tensor([[4.0, 2.0], [3.0, 1.0]])
    two = SimpleNamespace(
        num_processes=2,
        device=torch.device("cpu"),
        reduce=lambda own, reduction: own + others,
        gather=lambda own: torch.cat((others[None], own)),
    )
    rows = broken.state(two)
    assert rows == {"loss": [[4.0, 2.0], [0.0, 0.0]], "grad_norm": [[3.0, 1.0], [0.0, 0.0]]}
    assert broken.read(two) == {"loss": 2.0, "grad_norm": 3.0}
