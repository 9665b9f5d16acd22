from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import torch

from core.viewer import following, write_player
from core.viewer.tracks import write_tracks
from tests.viewer.conftest import WriteScene


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Collect those that are started."""
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))  # pyright: ignore[reportCallIssue, reportArgumentType]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    return started


@pytest.mark.slow
def test_tracks_of_a_growing_file_are_those_of_the_whole_one(
    write_scene: WriteScene, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    whole, growing = write_scene(), tmp_path / "growing.ssplat"
    data = whole.read_bytes()
    with following.follow_beside(growing) as tracks:
        for end in (10, len(data) // 2, len(data)):
            time.sleep(0.3)
            growing.write_bytes(data[:end])
        assert tracks() == write_tracks(whole)
    assert processes[0].poll() == 0


@pytest.mark.slow
def test_the_process_ends_with_the_block_and_with_its_parent(
    tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    with following.follow_beside(tmp_path / "never.ssplat"):
        pass
    assert processes[0].poll() is not None
    with following.follow_beside(tmp_path / "never.ssplat"):
        standard_input = processes[1].stdin
        assert standard_input is not None
        standard_input.close()  # as the system does for one that is killed
        assert processes[1].wait() == 1


def test_what_could_not_be_followed_is_computed_at_the_end(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene()
    with following.following(scene, torch.device("cpu")) as tracks:
        assert tracks() is None
        write_player(tmp_path / "scene.html", scene, tracks=tracks)
    assert write_tracks(scene) in (tmp_path / "scene.html").read_text()
