"""What a launcher started ends with it, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import early_launcher

ROOT = Path(__file__).parents[1]
LAUNCHER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(60)
"""
# Its end is seen by the pipe, which it alone has open once its launcher is gone.
PROGRAM = """
import os, signal, time
import core.early_launcher
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"asked"), os._exit(0)))
print(os.getpid(), flush=True)
time.sleep(1)
print("left alone", flush=True)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of a parent's death")


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("TORCHELASTIC_RUN_ID", "asked"),
        ("ACCELERATE_DYNAMO_MODE", "asked"),
        ("LOCAL_RANK", "left alone"),
    ],
)
def test_the_death_of_a_launcher_is_a_sigterm(variable: str, said: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in early_launcher._LAUNCHED}
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, PROGRAM],
        cwd=ROOT,
        env={**environment, variable: "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline().strip().isdecimal()
    launcher.kill()
    assert launcher.stdout.read().strip() == said
    launcher.wait()


def test_sigusr1_before_anything_was_done_asks_to_be_tried_again() -> None:
    program = "import os, signal, core.early_launcher; os.kill(os.getpid(), signal.SIGUSR1)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (75, "SIGUSR1 asked to stop; nothing was done.\n")
