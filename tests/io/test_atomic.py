from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from core.checks import UserError
from core.io import atomic, atomic_path, write_bytes
from core.io.atomic import remove_partial_files


def test_the_file_appears_with_its_content_and_its_folders(tmp_path):
    target = tmp_path / "a" / "b" / "file.bin"
    with atomic_path(target) as partial:
        assert partial.parent == target.parent
        assert partial.suffix == target.suffix
        partial.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_keeps_what_was_there_and_leaves_nothing_behind(tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def interrupted():
        with atomic_path(target) as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_write_bytes_replaces(tmp_path):
    target = tmp_path / "file.bin"
    write_bytes(target, b"one")
    write_bytes(target, b"two")
    assert target.read_bytes() == b"two"


def test_places_that_cannot_be_written_to_are_named(tmp_path):
    with pytest.raises(UserError, match="a folder of that name"):
        write_bytes(tmp_path, b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write"):
        write_bytes(tmp_path / "file" / "below.bin", b"")


def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_path(tmp_path / "file") as partial:
        partial.touch(mode=0o600)
    assert (tmp_path / "file").stat().st_mode == plain.stat().st_mode


def test_a_full_disk_is_named(tmp_path):
    target = tmp_path / "file.bin"
    with pytest.raises(UserError, match=r"file\.bin: No space left"), atomic_path(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_files_of_processes_that_are_gone_are_removed_and_others_are_not(tmp_path):
    gone, alive = tmp_path / "gone", tmp_path / "alive"

    def leave_half(target: Path) -> None:
        with atomic_path(target) as partial:
            partial.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    killed = multiprocessing.get_context("fork").Process(target=leave_half, args=(gone,))
    killed.start()
    killed.join()
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_path(alive) as partial:
        partial.write_bytes(b"half")
        atomic._remove_abandoned_files.cache_clear()
        write_bytes(tmp_path / "new", b"new")
        assert partial.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive", "new"]


def test_names_as_long_as_names_can_be_are_written(tmp_path):
    name = "a" * 251 + ".png"
    write_bytes(tmp_path / name, b"new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_workspace_is_rid_of_files_without_an_owner(tmp_path):
    for name in (".tmpAb3dE9", ".0123abcd-1-0123abcd.partial.safetensors", ".tmp", "kept"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp", "kept"]
