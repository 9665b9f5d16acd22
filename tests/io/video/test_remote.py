from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.checks import UserError
from core.io.video import VideoWriter
from core.io.video.remote import RemoteVideoWriter

SIZE = (37, 64)
FRAMES = np.random.default_rng(0).integers(0, 255, (9, *SIZE, 3), np.uint8)


def test_files_are_those_of_the_plain_writer(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.4, 0.5, 0.6, 0.9, 1.0, 1.1]
    for timed in (False, True):
        files = []
        for kind in (VideoWriter, RemoteVideoWriter):
            path = tmp_path / f"{kind.__name__}.mp4"
            with kind(path, SIZE, 24, timed=timed, crf=20, max_group=4) as writer:
                for frame, shown in zip(FRAMES, times, strict=True):
                    writer.write(frame, shown if timed else None)
            assert writer.num_frames == len(FRAMES)
            files.append(path.read_bytes())
        assert files[0] == files[1]


def _write(writer: VideoWriter, count: int, frame: np.ndarray = FRAMES[0]) -> None:
    with writer:
        for _ in range(count):
            writer.write(frame)


@pytest.mark.parametrize("kind", [VideoWriter, RemoteVideoWriter])
def test_errors_are_those_of_the_plain_writer(kind: type[VideoWriter], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no frame"):
        _write(kind(tmp_path / "a.mp4", SIZE, 24), 0)
    with pytest.raises(ValueError, match="expected uint8"):
        _write(kind(tmp_path / "a.mp4", SIZE, 24), 1, FRAMES[0, :-1])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write "):
        _write(kind(tmp_path / "file" / "a.mp4", SIZE, 24), 10_000)
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_a_block_that_raises_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("before")
    with pytest.raises(ValueError, match="expected uint8"):
        _write(RemoteVideoWriter(path, SIZE, 24), 1, FRAMES[0, :-1])
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_program_that_is_killed_leaves_no_process_and_no_part(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, numpy as np\n"
        "from core.io.video.remote import RemoteVideoWriter\n"
        "with RemoteVideoWriter(sys.argv[1], (36, 64), 24) as writer:\n"
        "    for _ in range(100):\n"
        "        writer.write(np.zeros((36, 64, 3), np.uint8))\n"
        "    print(writer._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.mp4")]
    run = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    encoder = Path("/proc", run.stdout.strip())
    for _ in range(100):
        if not encoder.exists() and not list(tmp_path.iterdir()):
            return
        time.sleep(0.1)
    raise AssertionError(f"{encoder} still runs, or it left {list(tmp_path.iterdir())}")
