from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from core.checks import UserError
from core.io import write_png
from core.io.frames import open_frames


def _folder(path, count, size=(8, 10)):
    for index in range(count):
        write_png(path / f"{index}.png", np.full((*size, 3), index, np.uint8))
    return path


@pytest.fixture
def reading_threads():
    """What this test has started and not ended; readers of others may still await collection."""
    before = set(threading.enumerate())
    return lambda: [t for t in set(threading.enumerate()) - before if "prefetch" in t.name]


def test_a_folder_yields_its_frames_in_order_again_and_again(tmp_path):
    source = open_frames(_folder(tmp_path, 12))
    assert source.num_frames == source.expected_frames == 12
    assert source.fps is None
    for _ in range(2):
        frames = list(source)
        assert [f.index for f in frames] == list(range(12))
        assert [f.name for f in frames] == source.names == [str(i) for i in range(12)]
        assert [f.image[0, 0, 0] for f in frames] == list(range(12))


def test_an_unreadable_frame_is_skipped_counted_and_said_once(tmp_path, caplog):
    _folder(tmp_path, 5)
    (tmp_path / "2.png").write_bytes(b"broken")
    source = open_frames(tmp_path)
    with caplog.at_level("WARNING", logger="streamsplat"):
        assert [f.index for f in source] == [0, 1, 3, 4]
    assert source.skipped == 1
    assert sum("2.png" in message for message in caplog.messages) == 1
    assert [f.index for f in source] == [0, 1, 3, 4]
    assert source.skipped == 1


def test_an_unreadable_frame_raises_on_request_and_ends_the_thread(tmp_path, reading_threads):
    _folder(tmp_path, 5)
    (tmp_path / "2.png").write_bytes(b"broken")
    seen = []
    with pytest.raises(UserError, match=r"2\.png"):
        seen.extend(frame.index for frame in open_frames(tmp_path, on_error="raise"))
    assert not reading_threads()


def test_a_source_without_one_good_frame_is_an_error(tmp_path):
    (tmp_path / "0.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="not one frame"):
        list(open_frames(tmp_path))


def test_a_walk_that_is_left_early_leaves_no_thread(tmp_path, reading_threads):
    for frame in open_frames(_folder(tmp_path, 20)):
        if frame.index == 3:
            break
    del frame
    assert not reading_threads()


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    size = (200, 300)
    source = open_frames(_folder(tmp_path, 40, size))
    tracemalloc.start()
    for _ in source:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    frame_bytes = size[0] * size[1] * 3
    assert peak < 10 * frame_bytes, f"peak of {peak / frame_bytes:.1f} frames"


def test_paths_that_are_no_source_are_explained(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        open_frames(tmp_path / "none")
    write_png(tmp_path / "one.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="single image"):
        open_frames(tmp_path / "one.png")
    with pytest.raises(ValueError, match="on_error"):
        open_frames(tmp_path, on_error="ignore")  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_training_does_not_import_pyav():
    program = "import sys, core.training, core.io; assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
