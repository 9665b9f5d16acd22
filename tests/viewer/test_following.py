from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.viewer import following, write_player
from core.viewer.tracks import write_tracks
from tests.viewer.conftest import WriteScene

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_tracks_of_a_growing_file_are_those_of_the_whole_one(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    whole, growing = write_scene(), tmp_path / "growing.ssplat"
    data = whole.read_bytes()
    with following.follow_beside() as follow:
        tracks = follow(growing)
        for end in (10, len(data) // 2, len(data)):
            time.sleep(0.3)
            growing.write_bytes(data[:end])
        assert tracks() == write_tracks(whole)


@pytest.mark.slow
def test_a_file_that_is_cut_short_is_followed_as_far_as_it_goes(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    whole, cut = write_scene(), tmp_path / "cut.ssplat"
    cut.write_bytes(whole.read_bytes()[:-20])
    with following.follow_beside() as follow:
        assert follow(cut)() == write_tracks(whole)


@pytest.mark.slow
def test_a_file_that_cannot_be_followed_is_left_to_the_caller(tmp_path: Path) -> None:
    with following.follow_beside() as follow:
        assert follow(tmp_path / "never.ssplat")() is None


def test_it_begins_before_pytorch_is_imported() -> None:
    program = (
        "import sys; from core.viewer.following import follow_beside\n"
        "with follow_beside(): print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("False\n", "")


def test_what_could_not_be_followed_is_computed_at_the_end(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene()
    with following.following("cpu") as follow:
        tracks = follow(scene)
        assert tracks() is None
        write_player(tmp_path / "scene.html", scene, tracks=tracks)
    assert write_tracks(scene) in (tmp_path / "scene.html").read_text()


@pytest.mark.slow
def test_no_process_is_left_where_a_file_is_given_up(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    growing = tmp_path / "growing.ssplat"
    growing.write_bytes(write_scene().read_bytes()[:-20])
    others = _descendants(os.getpid())
    with following.follow_beside() as follow:
        follow(growing)
        end = time.monotonic() + 60
        while len(begun := _descendants(os.getpid()) - others) < 2 and time.monotonic() < end:
            time.sleep(0.1)
    assert len(begun) >= 2
    assert not any(Path(f"/proc/{number}").exists() for number in begun)


def _descendants(number: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    try:
        text = Path(f"/proc/{number}/task/{number}/children").read_text()
    except OSError:
        return set()
    children = {int(child) for child in text.split()}
    return children.union(*map(_descendants, children))
