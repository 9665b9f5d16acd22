import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.data.datasets.index import IndexCache
from core.data.datasets.re10k import RealEstate10K
from core.io.chunks import images as image_chunks
from core.io.chunks.depth import DepthChunk, depth_chunk_path, write_depth_chunk

SIZE = (24, 40)


def _chunks(root):
    return sorted((root / "train").glob("*.torch"))


def _publish_depth(chunk, *, as_arrays=False):
    """Replace a chunk's depth maps by the published kind of file."""
    own = depth_chunk_path(chunk)
    maps = DepthChunk(own)
    values = [
        (maps.read(key, range(maps.shape(key)[0])) >> 8).astype(np.uint8) for key in maps.keys
    ]
    own.unlink()
    content = {
        "key": list(maps.keys),
        "predicted_depth_norm": values if as_arrays else [torch.from_numpy(v) for v in values],
    }
    torch.save(content, own.with_suffix(".pt"))
    return dict(zip(maps.keys, values, strict=True))


class _Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "code ran")


def test_a_truncated_chunk_is_left_out_and_named(miniature, reopen):
    root = miniature("re10k")
    bad, good = _chunks(root)
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    opened = reopen("re10k", root)
    assert len(opened.keys) == 1
    assert opened.read(0, [0, 1], SIZE).images.shape == (2, 24, 40, 3)
    unreadable = opened.coverage().unreadable
    assert unreadable.count == 1
    assert str(bad) in unreadable.examples[0]
    assert opened.coverage().missing.count == 2  # what index.json says that it held
    good.write_bytes(b"")
    with pytest.raises(UserError, match=r"no chunk in .*train can be opened"):
        reopen("re10k", root)


def test_a_chunk_that_is_damaged_later_is_an_error_of_its_samples(miniature, reopen):
    root = miniature("re10k")
    opened = reopen("re10k", root)
    _chunks(root)[0].unlink()
    with pytest.raises(UserError, match=r"cannot read the image chunk .*000000\.torch"):
        opened.read(0, [0], SIZE)
    assert opened.read(2, [0], SIZE).images.shape == (1, 24, 40, 3)


def test_a_corrupt_jpeg_is_named_by_chunk_key_and_frame(miniature, reopen):
    root = miniature("re10k")
    chunk = _chunks(root)[0]
    entries = torch.load(chunk, weights_only=True)
    entries[1]["images"][3] = entries[1]["images"][3][:200].clone()
    torch.save(entries, chunk)
    opened = reopen("re10k", root)
    with pytest.raises(UserError, match=rf"{chunk}: {entries[1]['key']}, frame 3"):
        opened.read(1, [2, 3], SIZE)
    assert len(opened.read(1, [2, 4], SIZE).images) == 2


def test_an_empty_sequence_is_counted(miniature, reopen):
    root = miniature("re10k")
    chunk = _chunks(root)[0]
    entries = torch.load(chunk, weights_only=True)
    entries[0]["images"] = []
    torch.save(entries, chunk)
    opened = reopen("re10k", root)
    assert opened.lengths.tolist() == [0, 6, 6]
    assert entries[0]["key"] in opened.coverage().empty.examples[0]


@pytest.mark.parametrize("index", [None, {}, {"0123": "000007.torch"}, "damaged"])
def test_the_index_of_the_dataset_is_not_needed(miniature, reopen, index):
    root = miniature("re10k")
    path = root / "train/index.json"
    path.unlink()
    if index is not None:
        path.write_text(index if index == "damaged" else json.dumps(index))
    opened = reopen("re10k", root)
    assert opened.lengths.tolist() == [6, 6, 6]
    assert opened.coverage().missing.count == (1 if index else 0)


def test_missing_depth_of_a_chunk_and_of_frames(miniature, reopen):
    root = miniature("re10k")
    first, second = map(depth_chunk_path, _chunks(root))
    second.unlink()
    opened = reopen("re10k", root)
    assert opened.coverage().without_depth.count == 6
    assert opened.read(2, [0], SIZE).inverse_depths is None
    assert opened.read(0, [0], SIZE).inverse_depths is not None
    first.write_bytes(first.read_bytes()[:100])
    opened = reopen("re10k", root)
    assert opened.coverage().without_depth.count == 18
    assert opened.coverage().unreadable.count == 1


def test_a_map_of_zeros_is_no_depth(miniature, reopen):
    root = miniature("re10k")
    path = depth_chunk_path(_chunks(root)[0])
    stored = DepthChunk(path)
    maps = {key: stored.read(key, range(6)) for key in stored.keys}
    opened = reopen("re10k", root)
    maps[opened.keys[0]][2] = 0
    write_depth_chunk(path, maps)
    opened = reopen("re10k", root)
    assert opened.read(0, [1, 2], SIZE).inverse_depths is None
    assert opened.read(0, [1, 3], SIZE).inverse_depths is not None


def test_published_depth_chunks(miniature, reopen):
    root = miniature("re10k")
    stored = [_publish_depth(chunk) for chunk in _chunks(root)]
    opened = reopen("re10k", root)
    depths = opened.read(1, [0, 5], (48, 80)).inverse_depths
    assert depths is not None
    expected = stored[0][opened.keys[1]][[0, 5]].astype(np.uint16) * 257
    np.testing.assert_array_equal(depths, expected)


def test_pickles_of_more_than_tensors_need_permission(miniature, reopen):
    root = miniature("re10k")
    for chunk in _chunks(root):
        _publish_depth(chunk, as_arrays=True)
    with pytest.raises(UserError, match="--allow_pickle_depth"):
        reopen("re10k", root)
    opened = reopen("re10k", root, allow_pickle_depth=True)
    assert opened.read(0, [0, 1], SIZE).inverse_depths is not None
    with pytest.raises(UserError, match="--allow_pickle_depth"):  # whatever the cache knows
        reopen("re10k", root)


@pytest.mark.parametrize("kind", ["chunk", "depth"])
def test_nothing_runs_code_from_a_file(miniature, reopen, tmp_path, kind):
    root = miniature("re10k")
    chunk, mark = _chunks(root)[0], tmp_path / "ran"
    if kind == "chunk":
        torch.save([{"key": "k", "images": [], "url": _Runs(mark)}], chunk)
        assert len(reopen("re10k", root).keys) == 1  # the other chunk's
    else:
        own = depth_chunk_path(chunk)
        own.unlink()
        own.with_suffix(".pt").write_bytes(
            pickle.dumps({"key": [], "predicted_depth_norm": _Runs(mark)}, protocol=2)
        )
        with pytest.raises(UserError):
            reopen("re10k", root)
    assert not mark.exists()


def test_the_older_format_of_chunks_is_read_too(miniature, reopen):
    root = miniature("re10k")
    expected = reopen("re10k", root).read(0, [1], SIZE).images
    for chunk in _chunks(root):
        entries = torch.load(chunk, weights_only=True)
        torch.save(entries, chunk, _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(reopen("re10k", root).read(0, [1], SIZE).images, expected)


def test_timestamps_are_the_times(miniature, reopen):
    root = miniature("re10k")
    chunk = _chunks(root)[0]
    entries = torch.load(chunk, weights_only=True)
    entries[0]["timestamps"] = torch.tensor([0, 10, 30, 70, 80, 90])
    entries[1]["timestamps"] = torch.zeros(6)
    torch.save(entries, chunk)
    opened = reopen("re10k", root)
    np.testing.assert_array_equal(opened.read(0, [1, 3], SIZE).times, [10, 70])
    np.testing.assert_array_equal(opened.read(1, [1, 3], SIZE).times, [1, 3])


def test_chunks_are_looked_into_once_until_they_change(miniature, reopen, monkeypatch):
    root = miniature("re10k")
    reopen("re10k", root)
    looked = []
    monkeypatch.setattr(
        "core.data.datasets.re10k.read_image_chunk",
        lambda path: looked.append(path.name) or image_chunks.read_image_chunk(path),
    )
    reopen("re10k", root)
    assert looked == []
    chunk = _chunks(root)[1]
    torch.save(torch.load(chunk, weights_only=True) * 1, chunk)
    (root / "train/000002.torch").write_bytes(_chunks(root)[0].read_bytes())
    reopen("re10k", root)
    assert sorted(looked) == ["000001.torch", "000002.torch"]  # threads look


def test_only_so_many_chunks_stay_open(miniature, reopen, tmp_path):
    root = miniature("re10k")
    opened = reopen("re10k", root)
    assert isinstance(opened, RealEstate10K)
    for sequence in (0, 2, 1, 2):
        opened.read(sequence, [0], SIZE)
    small = RealEstate10K(root, "train", IndexCache("re10k", root, tmp_path), chunk_cache_mib=0)
    for sequence in (0, 2, 1, 2):
        small.read(sequence, [0], SIZE)
    sizes = [chunk.stat().st_size for chunk in _chunks(root)]
    assert opened.num_open_bytes == sum(sizes)
    assert small.num_open_bytes == sizes[1]
    assert pickle.loads(pickle.dumps(opened)).num_open_bytes == 0


def test_a_chunk_that_failed_is_tried_again(miniature, reopen):
    root = miniature("re10k")
    chunk = _chunks(root)[0]
    whole, status = chunk.read_bytes(), chunk.stat()
    for content, sequences in ((bytes(len(whole)), 1), (whole, 3)):
        chunk.write_bytes(content)
        os.utime(chunk, ns=(status.st_atime_ns, status.st_mtime_ns))  # as rsync and cp -p do
        opened = reopen("re10k", root)
        assert len(opened.keys) == sequences
    assert opened.coverage().unreadable.count == 0


def test_a_depth_file_that_is_no_such_file_is_named(miniature, reopen):
    root = miniature("re10k")
    path = depth_chunk_path(_chunks(root)[0])
    path.unlink()
    path.with_suffix(".pt").write_bytes(b"hello, what is this?")
    opened = reopen("re10k", root)
    assert len(opened.keys) == 3
    assert path.stem in opened.coverage().unreadable.examples[0]
