"""Tracks of the player, computed by another process: while a scene file is written, or served.

Beside a GPU they take as long as the rest of a clip, mostly in Python, whose lock the rest needs.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch

from core.checks import UserError
from core.scene_file import SceneReader, open_scene
from core.tracking import PointTracks
from core.viewer.tracks import THREADS, follow_points, group_intervals, tracks_text

_LEAST_CORES = 8
_IMPORTED_FROM = Path(__file__).parents[2]
_LOOK_S = 0.1
"""Between two looks at the file."""


@contextmanager
def following(scene: Path, device: torch.device) -> Iterator[Callable[[], str | None]]:
    """Follow points through a scene file that will be written.

    Only beside a GPU, and where cores are left; the process ends with the block, or with this one.

    Args:
        scene: The file, which may not be there yet.
        device: Where the scene is made.

    Yields:
        What waits for the end of the file and gives what :func:`core.viewer.tracks.write_tracks`
        would return; None where that is left to the caller.
    """
    if device.type != "cuda" or (os.cpu_count() or 1) < _LEAST_CORES:
        yield lambda: None
        return
    with follow_beside(scene) as result:
        yield result


@contextmanager
def follow_beside(scene: Path) -> Iterator[Callable[[], str | None]]:
    """Do what :func:`following` does on any machine."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(scene.absolute())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_IMPORTED_FROM,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    output = process.stdout
    # The block may be that of a thread for which the program does not wait.
    atexit.register(process.kill)

    def result() -> str | None:
        text = output.read().decode()
        return text if process.wait() == 0 else None

    try:
        yield result
    finally:
        atexit.unregister(process.kill)
        process.kill()
        process.wait()
        process.stdin.close()
        output.close()


def _follow(scene: Path) -> str:
    """Follow each group as soon as it is in the file; return the text at the file's end."""
    started: dict[range, Future[PointTracks]] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        while True:
            with _opened(scene) as reader:
                if reader is not None:
                    opens = [interval.opens for interval in reader.intervals]
                    groups = group_intervals(opens)
                    for group in groups if reader.is_complete else groups[:-1]:
                        if group not in started:
                            started[group] = threads.submit(follow_points, scene, "cpu", group)
                    if reader.is_complete:
                        return tracks_text(
                            (task.result() for task in started.values()), reader.header.fit
                        )
            if select.select([sys.stdin], [], [], _LOOK_S)[0]:
                os._exit(1)  # the other process has ended


@contextmanager
def _opened(scene: Path) -> Iterator[SceneReader | None]:
    """Open the file; None where it, or its header, is not there yet."""
    try:
        reader = open_scene(scene)
    except (OSError, UserError):
        yield None
        return
    with reader:
        yield reader


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process
    torch.set_num_threads(1)
    try:
        sys.stdout.write(_follow(Path(sys.argv[1])))
    except UserError:
        sys.exit(1)  # the other process says what is wrong
