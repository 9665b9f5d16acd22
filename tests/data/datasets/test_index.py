import os
import shutil
import time
from pathlib import Path

import pytest

from core.data.datasets import index
from core.data.datasets.chunk_cache import ChunkCache
from core.data.datasets.index import IndexCache, default_cache_folder


@pytest.fixture
def listed(monkeypatch):
    """Record which folders are listed anew."""
    names, plain = [], index._names
    monkeypatch.setattr(index, "_names", lambda folder: names.append(folder.name) or plain(folder))
    return names


def _age(root):
    """Let every folder look as if it had not changed for an hour."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, (time.time() - 3600,) * 2)


def test_folders_are_listed_once_until_they_change(miniature, reopen, listed):
    root = miniature("davis")
    _age(root)
    reopen("davis", root)
    assert len(listed) == 10
    listed.clear()
    assert reopen("davis", root).lengths.tolist() == [6, 6, 6]
    assert listed == []
    images = root / "JPEGImages/Full-Resolution/train-scene-01"
    (images / "00005.jpg").unlink()
    assert reopen("davis", root).lengths.tolist() == [6, 5, 6]
    assert listed == ["train-scene-01"]


def test_a_folder_that_changed_just_now_is_not_trusted(miniature, reopen, listed):
    root = miniature("davis")
    _age(root)
    os.utime(root / "JPEGImages/Full-Resolution/train-scene-01")
    reopen("davis", root)
    listed.clear()
    reopen("davis", root)
    assert listed == ["train-scene-01"]


def test_a_folder_that_appears_is_noticed(miniature, reopen):
    root = miniature("frames")
    (root / "clip-00/depthImages").rename(root / "elsewhere")
    _age(root)
    assert reopen("frames", root).coverage().without_depth.count == 6
    (root / "elsewhere").rename(root / "clip-00/depthImages")
    assert reopen("frames", root).coverage().without_depth.count == 0


def test_a_damaged_or_foreign_index_counts_as_none(miniature, reopen, tmp_path):
    root = miniature("davis")
    expected = reopen("davis", root).keys
    (file,) = (tmp_path / "cache").iterdir()
    for content in ("", "[]", '{"version": 0}', '{"version": 1, "notes": 3}'):
        file.write_text(content)
        assert reopen("davis", root).keys == expected
    moved = root.rename(tmp_path / "moved")
    assert reopen("davis", moved).keys == expected
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_place_that_cannot_be_written_is_a_warning(miniature, reopen, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(reopen("davis", miniature("davis")).keys) == 3
    assert "will be built again" in caplog.text


def test_the_index_lies_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("STREAMSPLAT_CACHE", str(tmp_path / "here"))
    assert default_cache_folder() == tmp_path / "here"
    path = IndexCache("davis-train", tmp_path).path
    assert path is not None
    assert path.parent == tmp_path / "here"
    monkeypatch.delenv("STREAMSPLAT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_folder() == tmp_path / "xdg/streamsplat/datasets"


def test_a_user_without_a_home_keeps_no_index(monkeypatch, tmp_path):
    def no_home() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("STREAMSPLAT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    cache = IndexCache("davis-train", tmp_path)
    cache.save({"a": 1})
    assert cache.load() == {}


def test_the_cache_of_chunks_keeps_the_latest_within_its_budget():
    loaded = []

    def load(key):
        loaded.append(key)
        return key.upper(), 4

    cache = ChunkCache(load, 10)
    assert [cache[key] for key in "abab"] == ["A", "B", "A", "B"]
    assert loaded == ["a", "b"]
    assert cache["a"] == "A"
    assert cache["c"] == "C"  # b has waited longest
    assert cache.num_bytes == 8
    assert cache["a"] == "A"
    assert loaded == ["a", "b", "c"]
    assert cache["b"] == "B"
    assert loaded == ["a", "b", "c", "b"]
    assert ChunkCache(load, 0)["d"] == "D"


def test_an_index_that_stays_the_same_is_not_written_again(miniature, reopen, tmp_path):
    root = miniature("frames")
    shutil.rmtree(root / "clip-00/depthImages")
    _age(root)
    reopen("frames", root)
    (file,) = (tmp_path / "cache").iterdir()
    before = file.stat()
    reopen("frames", root)
    assert file.stat().st_ino == before.st_ino
