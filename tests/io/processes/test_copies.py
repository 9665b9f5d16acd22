from __future__ import annotations

import os
import signal

import pytest

from core.checks import UserError
from core.io.processes.copies import in_copies


def test_each_number_goes_to_a_process_of_its_own() -> None:
    big = bytes(10**6)  # more than a pipe holds
    found = in_copies(lambda number: (number, os.getpid(), big), 3)
    assert [number for number, _, _ in found] == [0, 1, 2]
    assert len({os.getpid(), *(process for _, process, _ in found)}) == 4


def test_what_a_copy_raises_is_raised_here() -> None:
    with pytest.raises(KeyError, match="2"):
        in_copies(lambda number: {0: "a", 1: "b"}[number], 3)


def test_a_copy_that_is_killed_is_reported() -> None:
    def die(number: int) -> None:
        if number:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match="killed for want of memory"):
        in_copies(die, 2)
