from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.checks import UserError
from core.io.processes.beside import Beside, GivenUpError, Items

ROOT = Path(__file__).parents[3]


def total(items: Items[np.ndarray], start: float) -> tuple[float, int]:
    for item in items:
        item += 0  # as writable as what was sent
        start += float(item.sum())
    return start, os.getpid()


def refuse(items: Items[str]) -> None:
    raise UserError(f"{next(items)} is full")


def break_off(items: Items[str]) -> None:
    raise KeyError(next(items))


def die(items: Items[str]) -> None:
    next(items)
    os.kill(os.getpid(), signal.SIGKILL)


def note_end(items: Items[str], path: Path) -> None:
    try:
        for _ in items:
            print("this is no answer")
    except GivenUpError:
        path.write_text("given up")
        raise
    path.write_text("finished")


@pytest.mark.parametrize("function", [total, f"{__name__}:total"])
def test_items_of_any_size_arrive_in_order_in_another_process(
    function: Callable[..., tuple[float, int]] | str,
) -> None:
    with Beside[np.ndarray, tuple[float, int]]("sums", function, 0.5) as process:
        for size in (0, 3, 10**6):
            process.put(np.ones(size))
        found, number = process.finish()
    assert found == 0.5 + 3 + 10**6
    assert number != os.getpid()


@pytest.mark.parametrize("put_more", [False, True])
@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (refuse, UserError, "the disk is full"),
        (break_off, KeyError, "the disk"),
        (die, UserError, "makes sums has ended with status -9; was it killed"),
    ],
)
def test_what_it_raises_is_raised_here(
    function, error, message: str, put_more: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    def use() -> None:
        with Beside("sums", function) as process:
            process.put("the disk")
            while put_more:
                process.put("more")
            process.finish()

    with pytest.raises(error, match=message):
        use()
    assert ("in break_off" in capfd.readouterr().err) == (error is KeyError)


@pytest.mark.parametrize("finished", [False, True])
def test_it_learns_whether_the_block_was_left_early(tmp_path: Path, finished: bool) -> None:
    with Beside("notes", note_end, tmp_path / "note") as process:
        process.put("item")
        if finished:
            process.finish()
    assert (tmp_path / "note").read_text() == ("finished" if finished else "given up")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_parent_and_hears_no_ctrl_c(tmp_path: Path, number: int) -> None:
    program = (
        "import sys, time; from pathlib import Path; from core.io.processes.beside import Beside\n"
        "from tests.io.processes.test_beside import note_end\n"
        "with Beside('notes', note_end, Path(sys.argv[1])) as process:\n"
        "    process.put('item'); print('ready', flush=True); time.sleep(60)"
    )
    note = tmp_path / "note"
    with subprocess.Popen(
        [sys.executable, "-c", program, note],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        # As a terminal sends Ctrl-C: to the whole group.
        os.killpg(parent.pid, number)
        parent.wait()
    end = time.monotonic() + 20
    while not note.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert note.read_text() == "given up"
