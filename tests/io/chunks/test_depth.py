from __future__ import annotations

import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.checks import UserError
from core.io.chunks.depth import DepthChunk, depth_chunk_path, write_depth_chunk


@pytest.fixture
def maps():
    dice = np.random.default_rng(0)
    return {
        "a b/ü": dice.integers(0, 65536, (3, 4, 6), dtype=np.uint16),
        "second": dice.integers(0, 65536, (2, 5, 7), dtype=np.uint16),
    }


@pytest.fixture
def path(tmp_path, maps):
    path = depth_chunk_path(tmp_path / "train" / "000007.torch")
    assert path == tmp_path / "train" / "depth_000007.safetensors"
    write_depth_chunk(path, maps)
    return path


def test_what_is_written_is_read(path, maps):
    chunk = pickle.loads(pickle.dumps(DepthChunk(path)))
    assert sorted(chunk.keys) == sorted(maps)
    assert chunk.shape("second") == (2, 5, 7)
    np.testing.assert_array_equal(chunk.read("a b/ü", [2, 0]), maps["a b/ü"][[2, 0]])
    assert chunk.read("second", [1]).dtype == np.uint16
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_other_arrays_are_refused_and_leave_no_file(tmp_path):
    for values in (np.zeros((2, 3, 4), np.uint8), np.zeros((3, 4), np.uint16)):
        with pytest.raises(ValueError, match="expected uint16 of shape"):
            write_depth_chunk(tmp_path / "depth_0.safetensors", {"a": values})
    assert not list(tmp_path.iterdir())


def test_a_cut_file_is_noticed_when_it_is_opened(path):
    data = path.read_bytes()
    for length in (0, 5, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="cut short or damaged"):
            DepthChunk(path)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        DepthChunk(path)


def test_foreign_files_are_not_taken_for_depth(tmp_path):
    save_file({"a": np.zeros((1, 2, 2), np.uint16)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="no file of depth maps of this version"):
        DepthChunk(tmp_path / "weights.safetensors")


def test_frames_beyond_the_end_are_named(path):
    with pytest.raises(UserError, match="holds 2 depth maps of second, but frame 2"):
        DepthChunk(path).read("second", [0, 2])
