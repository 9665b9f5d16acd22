from types import SimpleNamespace

import pytest
import torch

from core.checks import UserError
from core.training import agreement
from core.training.agreement import Agreement, StepFlags, on_main_process


def _process(others=(), *, is_main=True):
    """A process among others, whose flags are added to its own."""
    return SimpleNamespace(
        device=torch.device("cpu"),
        num_processes=1 + len(others),
        is_main_process=is_main,
        reduce=lambda value, reduction: sum(others, value),
    )


def test_flags_are_heard_once_and_as_they_were_told():
    alone = Agreement(_process())
    assert alone.hear() is None
    alone.tell(torch.tensor(True), StepFlags(signalled=True))
    assert alone.hear() == StepFlags(skipped=True, signalled=True)
    assert alone.hear() is None


def test_what_any_process_tells_all_hear():
    other = torch.tensor([0.0, 1.0, 0.0, 1.0])
    together = Agreement(_process([other, other]))
    together.tell(torch.tensor(False), StepFlags())
    assert together.hear() == StepFlags(out_of_time=True, save_due=True)


def test_work_of_the_main_process_fails_in_all(monkeypatch):
    sent = []
    monkeypatch.setattr(agreement, "broadcast_object_list", sent.append)

    def fail():
        raise UserError("the disk is full")

    assert on_main_process(_process(), lambda: 5) == 5
    with pytest.raises(UserError, match="disk"):
        on_main_process(_process(), fail)

    def receive(values):
        values[:] = sent[-1]

    monkeypatch.setattr(agreement, "broadcast_object_list", receive)
    with pytest.raises(UserError, match="disk"):
        on_main_process(_process(is_main=False), lambda: pytest.fail("work of another process"))
