from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from core.checks import UserError
from core.outputs.staging import staged_outputs


def test_files_appear_together_at_the_end(tmp_path: Path) -> None:
    output = tmp_path / "new" / "folder"
    with staged_outputs(output) as staging:
        (staging.folder / "a").write_text("a")
        assert not (output / "a").exists()
    assert [file.name for file in output.iterdir()] == ["a"]


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(UnicodeEncodeError), staged_outputs(tmp_path) as staging:
        (staging.folder / "a").write_text("new \udc80", encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write into"), staged_outputs(tmp_path / "file"):
        pass


def test_a_folder_in_the_place_of_a_result_is_said_before_any_is_moved(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()

    def write_both() -> None:
        with staged_outputs(tmp_path) as staging:
            (staging.folder / "a").write_text("new")
            (staging.folder / "b").write_text("new")

    with pytest.raises(UserError, match=r"b is a folder; the results are in .*incomplete"):
        write_both()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b", "incomplete"]
    assert (tmp_path / "incomplete" / "a").read_text() == "new"


def test_what_killed_runs_left_is_removed_and_what_runs_is_not(tmp_path: Path) -> None:
    killed = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(tmp_path,))
    killed.start()
    killed.join()
    (tmp_path / ".running-0" / "a").parent.mkdir()  # without a lock, of a killed run as well
    assert len(list(tmp_path.glob(".running-*"))) == 3
    with staged_outputs(tmp_path) as first:
        (first.folder / "a").write_text("a")
        other = multiprocessing.get_context("fork").Process(target=_write, args=(tmp_path,))
        other.start()
        other.join()
        assert other.exitcode == 0
        assert (first.folder / "a").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    for name in ("longer", "short"):
        with staged_outputs(tmp_path) as staging:
            (staging.folder / "frames").mkdir()
            for number in range(len(name)):
                (staging.folder / "frames" / str(number)).write_text(name)
    assert [folder.name for folder in tmp_path.iterdir()] == ["frames"]
    assert len(list((tmp_path / "frames").iterdir())) == 5
    (tmp_path / "file").write_text("")

    def write_folder() -> None:
        with staged_outputs(tmp_path) as staging:
            (staging.folder / "file").mkdir()

    with pytest.raises(UserError, match="file is a file"):
        write_folder()


def _write_and_die(output: Path) -> None:
    with staged_outputs(output) as staging:
        (staging.folder / "a").write_text("a")
        os.kill(os.getpid(), signal.SIGKILL)


def _write(output: Path) -> None:
    with staged_outputs(output) as staging:
        (staging.folder / "b").write_text("b")
