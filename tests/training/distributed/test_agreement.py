from types import SimpleNamespace

import pytest
import torch

from core.checks import UserError
from core.training.distributed import agreement
from core.training.distributed.agreement import (
    Agreement,
    StepFlags,
    in_each_process,
    on_main_process,
)


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
    other = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0])
    together = Agreement(_process([other, other]))
    together.tell(torch.tensor(False), StepFlags())
    assert together.hear() == StepFlags(out_of_time=True, save_due=True)


def _fail():
    raise UserError("the disk is full")


def _break_down():
    raise ZeroDivisionError("of our own")


@pytest.mark.parametrize(
    ("work", "own", "of_others"),
    [
        (_fail, (UserError, "^the disk is full"), "^the disk is full"),
        (_break_down, (ZeroDivisionError, "of our own"), "^ZeroDivisionError: of our own"),
    ],
)
def test_work_of_the_main_process_fails_in_all(monkeypatch, work, own, of_others):
    sent = []
    monkeypatch.setattr(agreement, "broadcast_object_list", sent.append)
    assert on_main_process(_process(), lambda: 5) == 5
    with pytest.raises(own[0], match=own[1]):
        on_main_process(_process(), work)

    def receive(values):
        values[:] = sent[-1]

    monkeypatch.setattr(agreement, "broadcast_object_list", receive)
    with pytest.raises(UserError, match=of_others):
        on_main_process(_process(is_main=False), lambda: pytest.fail("work of another process"))


@pytest.mark.parametrize("local_main_first", [False, True])
@pytest.mark.parametrize("is_local_main", [False, True])
def test_work_of_each_process_fails_in_all(monkeypatch, local_main_first, is_local_main):
    process = SimpleNamespace(is_local_main_process=is_local_main)
    told, done = [], []

    def gather(mine):
        told.append((list(done), mine))
        return [*mine, theirs]

    monkeypatch.setattr(agreement, "gather_object", gather)
    theirs = None
    options = {"local_main_first": local_main_first}
    assert in_each_process(process, lambda: done.append(1) or 5, **options) == 5
    if local_main_first:  # the others wait until it is done
        assert told == [([1] if is_local_main else [], [None]), ([1], [None])]

    def fail():
        raise UserError("no such folder")

    with pytest.raises(UserError, match="no such folder"):
        in_each_process(process, fail, **options)
    assert told[-1][1] == ["no such folder"]
    theirs = "their disk is broken"
    with pytest.raises(UserError, match=theirs):
        in_each_process(process, lambda: 5, **options)


@pytest.mark.gpu
def test_telling_does_not_wait_for_the_device():
    device = torch.device("cuda")
    process = SimpleNamespace(device=device, num_processes=1, is_main_process=True)
    flags, skipped = Agreement(process), torch.tensor(True, device=device)
    flags.tell(skipped, StepFlags())  # makes what is made once
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)  # about a tenth of a second
    flags.tell(skipped, StepFlags(signalled=True))
    assert not torch.cuda.current_stream().query()
    assert flags.hear() == StepFlags(skipped=True, signalled=True)
