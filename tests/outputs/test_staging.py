from __future__ import annotations

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

    with pytest.raises(UserError, match="b is a folder"):
        write_both()
    assert [file.name for file in tmp_path.iterdir()] == ["b"]


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
