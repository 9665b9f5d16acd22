"""Two processes on the CPU, against what one computes."""

from __future__ import annotations

import json
import math
import multiprocessing
import runpy
import socket
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("processes.py")
Got = list[dict[str, Any]]


@pytest.fixture(scope="module")
def got(tmp_path_factory: pytest.TempPathFactory) -> Got:
    """What each of two processes got."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["core.training"])
    started = []
    for rank in range(2):
        arguments = {"folder": folder, "process": rank, "processes": 2, "port": port}
        run = (str(PROGRAM), {"ARGUMENTS": arguments}, "__main__")
        started.append(context.Process(target=runpy.run_path, args=run))
        started[-1].start()
    for process in started:
        process.join(300)
        assert process.exitcode == 0
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_flags_of_any_process_are_polled_once_by_all(got: Got) -> None:
    for one in got:
        assert one["nothing posted"] is None
        assert {name for name, value in one["flags"].items() if value} == {
            *("signalled", "out_of_time"),
        }
        assert one["polled again"] is None


def test_work_of_the_main_process_returns_and_fails_in_all(got: Got) -> None:
    assert [one["main"] for one in got] == [0, 0]
    assert [one["main fails"] for one in got] == ["UserError: the disk is full"] * 2
    broken = "ZeroDivisionError: integer division or modulo by zero"
    assert [one["main breaks"] for one in got] == [broken, f"UserError: {broken}"]


def test_work_of_each_process_returns_its_own_and_fails_in_all(got: Got) -> None:
    assert [one["each"] for one in got] == [0, 1]
    assert [one["one fails"] for one in got] == ["UserError: the disk is full"] * 2


def test_processes_are_compared_but_for_places(got: Got) -> None:
    for one in got:
        assert one["alike"] == ""
        assert "process 1 on " in one["other options"]
        assert "seed is 1 rather than 0" in one["other options"]
        assert "samples_per_epoch is 40 rather than 16" in one["other data"]


def test_means_are_over_all_processes_with_whatever_names_they_have(got: Got) -> None:
    for one in got:
        assert one["sums"] == {"grad_norm": [[2.0, 1.0], [3.0, 1.0]], "loss": [[0, 0], [1.0, 1.0]]}
        assert one["means"] == {"grad_norm": 2.5, "loss": 1.0}


def test_processes_share_the_samples_of_validation(got: Got) -> None:
    expected = sum(-20 * math.log10(0.01 * (1 + i)) for i in range(5)) / 5
    for one in got:
        assert one["validation"]["a/psnr_given"] == pytest.approx(expected, rel=1e-4)
