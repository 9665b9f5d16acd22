"""Miniatures have the layout of the data sets, and show the same scene in every kind of file."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from core.checks import UserError
from core.data.miniature import LAYOUTS, count_clips, write_miniature
from core.data.miniature.__main__ import MiniatureOptions, write
from core.io.chunks.depth import DepthChunk, depth_chunk_path
from core.io.stills.images import read_image

SMALL = {"sequences": 3, "frames": 3, "image_size": (32, 48)}


def _files(root):
    return {
        path.relative_to(root).as_posix(): _content(path)
        for path in root.rglob("*")
        if path.is_file()
    }


def _content(path):
    if path.suffix != ".safetensors":
        return path.read_bytes()
    # Its header names the same things in an order of chance.
    chunk = DepthChunk(path)
    return {key: chunk.read(key, range(chunk.shape(key)[0])).tobytes() for key in chunk.keys}


def _assert_shows_depth(depth):
    assert depth.dtype == np.uint16
    assert (depth.min(), depth.max()) == (0, 65535)
    assert len(np.unique(depth)) > 64
    assert (depth % 257).any()  # eight bits could not say it


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_arguments_make_the_same_files(tmp_path, layout):
    told = []
    first = write_miniature(layout, tmp_path / "a", **SMALL, on_progress=told.append)
    assert sum(told) == count_clips(layout, 3)
    files = _files(first)
    assert files == _files(write_miniature(layout, tmp_path / "b", **SMALL))
    write_miniature(layout, tmp_path / "b", **SMALL, seed=1)
    assert files != _files(tmp_path / "b")


def test_davis(tmp_path):
    root = write_miniature("davis", tmp_path, **SMALL)
    labels = set()
    for split in ("train", "val"):
        names = (root / f"ImageSets/2017/{split}.txt").read_text().split()
        assert len(names) == 3
        for name in names:
            assert read_image(root / f"JPEGImages/Full-Resolution/{name}/00002.jpg").shape == (
                32,
                48,
                3,
            )
            mask = Image.open(root / f"Annotations_unsupervised/Full-Resolution/{name}/00002.png")
            assert mask.mode == "P"
            labels |= set(np.unique(np.array(mask)).tolist())
            depth = root / f"depthImages/Full-Resolution/{name}/00002_pred.png"
            _assert_shows_depth(cv2.imread(str(depth), cv2.IMREAD_UNCHANGED))
    assert {0, 1, 2} <= labels  # background and several objects


def test_labels_are_the_moving_objects(tmp_path):
    root = write_miniature("frames", tmp_path, sequences=1, frames=9, image_size=(72, 128))
    masks = sorted((root / "clip-00/Annotations").iterdir())
    stacked = np.stack([np.array(Image.open(path)) for path in masks]) > 0
    moves = np.abs(np.diff(stacked.astype(int), axis=0)).sum()
    assert stacked.any()
    assert moves > 0
    # Background is black, so that a reader of colours finds the same objects.
    colors = cv2.imread(str(masks[0]))
    np.testing.assert_array_equal(colors.any(axis=-1), stacked[0])


def test_youtube_vos_has_annotations_for_training_only(tmp_path):
    root = write_miniature("vos", tmp_path, **SMALL)
    for split in ("train", "valid"):
        (first, *_) = sequences = sorted((root / split / "JPEGImages").iterdir())
        assert len(sequences) == 3
        assert [path.name for path in sorted(first.iterdir())] == [
            "00000.jpg",
            "00005.jpg",
            "00010.jpg",
        ]
        assert (root / split / "depthImages" / first.name / "00005_pred.png").is_file()
        assert (root / split / "Annotations").exists() == (split == "train")


def test_co3d_lists_many_sequences_in_one_file(tmp_path):
    root = write_miniature("co3d", tmp_path, **(SMALL | {"frames": 5}))
    for split in ("dev", "test"):
        subsets = json.loads(
            (root / f"apple/set_lists/set_lists_manyview_{split}_0.json").read_text()
        )
        entries = [tuple(entry) for subset in subsets.values() for entry in subset]
        assert len({name for name, _, _ in entries}) == 2
        assert len(set(entries)) == len(entries) == 2 * 5
        for name, number, path in entries:
            assert path == f"apple/{name}/images/frame{number:06d}.jpg"
            assert (root / path).is_file()
            depth = path.replace("images", "predict_depths").replace(".jpg", "_pred.png")
            assert (root / depth).is_file()


def test_re10k_chunks_hold_jpegs_cameras_and_depths(tmp_path):
    root = write_miniature("re10k", tmp_path, **SMALL)
    for split in ("train", "test"):
        index = json.loads((root / split / "index.json").read_text())
        assert len(index) == 3
        for name in ("000000.torch", "000001.torch"):
            chunk = torch.load(root / split / name, weights_only=True)
            depths = DepthChunk(depth_chunk_path(root / split / name))
            assert {entry["key"] for entry in chunk} == {k for k, v in index.items() if v == name}
            for entry in chunk:
                jpeg = entry["images"][2].numpy()
                assert jpeg[:2].tobytes() == b"\xff\xd8"
                assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (32, 48, 3)
                assert entry["cameras"].shape == (3, 18)
                assert entry["cameras"].dtype == torch.float32
                assert (entry["timestamps"].diff() > 0).all()
                _assert_shows_depth(depths.read(entry["key"], [2])[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_depth_can_be_left_out(tmp_path, layout):
    root = write_miniature(
        layout, tmp_path, sequences=1, frames=2, image_size=(16, 24), depth=False
    )
    assert not [name for name in _files(root) if "depth" in name]


def test_all_layouts_at_once(tmp_path):
    write(MiniatureOptions("all", tmp_path, sequences=1, frames=2, height=16, width=24))
    assert {path.name for path in tmp_path.iterdir()} == set(LAYOUTS)
    assert all((tmp_path / layout / ".miniature.json").is_file() for layout in LAYOUTS)


def test_an_older_miniature_is_replaced(tmp_path):
    write_miniature("davis", tmp_path, **SMALL)
    write_miniature("re10k", tmp_path, **SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"train", "test", ".miniature.json"}


def test_other_peoples_files_are_left_alone(tmp_path):
    root = write_miniature("frames", tmp_path / "set", **SMALL)
    before = _files(root)
    (root / "clip-00/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"such as clip-00/notes\.txt; give a new folder"):
        write_miniature("frames", root, **SMALL, seed=1)
    assert _files(root) == before | {"clip-00/notes.txt": b"mine"}
    (root / ".miniature.json").write_text('{"files": ["../outside"]}')
    with pytest.raises(UserError, match="give a new folder"):
        write_miniature("frames", root, **SMALL)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_miniature("frames", tmp_path / "file", **SMALL)


def test_a_broken_off_run_leaves_nothing(tmp_path):
    def stop(_count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_miniature("davis", tmp_path, **SMALL, on_progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"sequences": 0}, {"frames": 0}, {"image_size": (8, 32)}])
def test_impossible_sizes_name_the_option(tmp_path, change):
    with pytest.raises(UserError, match=r"--(sequences|frames|height)"):
        write_miniature("davis", tmp_path / "new", **(SMALL | change))
    assert not (tmp_path / "new").exists()
