"""How programs end: an error of the user's, Ctrl-C at any moment, SIGTERM."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.checks import UserError, cli_errors
from core.outputs.staging import staged_outputs

ROOT = Path(__file__).parents[1]
PROGRAMS = ["train.py", "train_decoder.py", "splat_inference.py", "preprocess_depth_davis.py"]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def status(main: Callable[[], None]) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        cli_errors(main)()
    return end.value.code


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("the clip is missing.")

    assert status(main) == 2
    assert capsys.readouterr().err == "error: the clip is missing.\n"


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_program_after_it_has_cleared_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, expected: int
) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]

    def main() -> None:
        with staged_outputs(tmp_path) as staging:
            (staging.folder / "half").write_text("")
            os.kill(os.getpid(), number)
            threading.Event().wait(10)

    assert status(main) == expected
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err.count("\n") == 1
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        cli_errors(lambda: os.kill(os.getpid(), signal.SIGTERM))()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_during_the_imports_is_no_traceback() -> None:
    program = (
        "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import core.early_interrupt; os.kill(os.getpid(), signal.SIGINT)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, cwd=ROOT
    )
    assert result.returncode == -signal.SIGINT
    assert result.stderr == b""


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_look_after_ctrl_c_before_they_import_anything_else(name: str) -> None:
    _, future, first, *_ = ast.parse((ROOT / name).read_text()).body
    assert isinstance(future, ast.ImportFrom)
    assert future.module == "__future__"
    assert isinstance(first, ast.If)
    assert ast.unparse(first.test) == "__name__ == '__main__'"
    before = [ast.unparse(line) for line in first.body]
    launched = ["import core.early_launcher"] if name.startswith("train") else []
    assert before == ["import core.early_interrupt", *launched]


def test_nobody_has_to_read_the_output_to_its_end() -> None:
    code = (
        "from core.checks import cli_errors\n"
        "@cli_errors\n"
        "def main():\n"
        "    for _ in range(100_000): print('a line', flush=True)\n"
        "main()\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    assert program.wait(30) == 141
    assert program.stderr.read() == ""


def test_another_pipe_that_breaks_is_not_passed_over() -> None:
    def main() -> None:
        raise BrokenPipeError("to a process that died")

    with pytest.raises(BrokenPipeError):
        cli_errors(main)()
