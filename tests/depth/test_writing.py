from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from core.checks import UserError
from core.depth.estimation import Engine
from core.depth.writing import Report, write_chunk_maps, write_png_maps
from core.io import read_depth, write_png
from core.io.chunks.depth import DepthChunk, depth_chunk_path
from core.io.layouts import JPEG_IMAGES, find_jpeg_images


def _picture(value=0, size=(6, 8)):
    ramp = np.linspace(0, 200, size[0] * size[1]).reshape(*size, 1) + value
    return np.repeat(ramp, 3, 2).astype(np.uint8)


def _red_channel(images):
    return images[:, :1] * 7 + 3


def _engine(estimate=_red_channel, batch_size=2):
    return Engine(estimate, torch.device("cpu"), batch_size, threads=2)


def _stop_after(calls):
    def estimate(images):
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise KeyboardInterrupt
        return images[:, :1]

    return estimate


@pytest.fixture
def davis(tmp_path):
    folder = tmp_path / "JPEGImages" / "Full-Resolution"
    for sequence in ("bear", "camel"):
        for index in range(3):
            write_png(folder / sequence / f"{index:05d}.png", _picture(10 * index))
    return tmp_path


def _write(root, engine=None, **kwargs):
    images = find_jpeg_images(root)
    return write_png_maps(images, JPEG_IMAGES.depth_path, engine or _engine(), **kwargs)


def _write_chunks(chunks, engine=None, **kwargs):
    return write_chunk_maps(chunks, depth_chunk_path, engine or _engine(), **kwargs)


def _maps(root):
    return sorted(path for path in root.rglob("*.png") if "depthImages" in path.parts)


def test_each_map_is_normalised_by_itself_in_16_bits(davis):
    settled = []
    assert _write(davis, advance=settled.append) == Report(written=6)
    assert sum(settled) == 6
    for image in find_jpeg_images(davis):
        depth = JPEG_IMAGES.depth_path(image)
        stored = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
        assert stored.dtype == np.uint16
        assert (stored.min(), stored.max()) == (0, 65535)
        red = cv2.imread(str(image))[..., 2].astype(float)
        expected = (red - red.min()) / (red.max() - red.min())
        np.testing.assert_allclose(read_depth(depth), expected, atol=1e-5)


def test_what_was_finished_before_a_run_broke_off_is_whole(davis):
    with pytest.raises(KeyboardInterrupt):
        _write(davis, _engine(_stop_after(2)))
    assert [read_depth(path).shape for path in _maps(davis)] == [(6, 8)] * 2


def test_an_unreadable_image_does_not_stop_the_run(davis):
    broken = davis / "JPEGImages/Full-Resolution/bear/00001.png"
    broken.write_bytes(b"broken")
    settled = []
    report = _write(davis, advance=settled.append)
    assert (report.written, sum(settled)) == (5, 6)
    assert len(report.failures) == 1
    assert str(broken) in report.failures[0]
    assert len(_maps(davis)) == 5


def test_a_map_that_cannot_be_written_stops_the_run(davis):
    (davis / "depthImages").write_bytes(b"a file in the way")
    with pytest.raises(UserError, match="cannot write"):
        _write(davis)


def _jpeg(picture):
    return torch.from_numpy(cv2.imencode(".png", picture[..., ::-1])[1])


def _save_chunk(path, sequences):
    content = [{"key": key, "images": images} for key, images in sequences.items()]
    torch.save(content, path)


@pytest.fixture
def chunks(tmp_path):
    paths = [tmp_path / f"{index:06d}.torch" for index in range(3)]
    for index, path in enumerate(paths):
        sequences = {
            f"{index}a": [_jpeg(_picture(i, (6, 8))) for i in range(4)],
            f"{index}b": [_jpeg(_picture(i, (5, 9))) for i in range(3)],
        }
        _save_chunk(path, sequences)
    return paths


def test_every_chunk_gets_one_file_of_maps(chunks):
    settled = []
    report = _write_chunks(chunks, _engine(batch_size=3), advance=settled.append)
    assert report == Report(written=3)
    assert sum(settled) == pytest.approx(3)
    maps = DepthChunk(chunks[1].with_name("depth_000001.safetensors"))
    assert {key: maps.shape(key) for key in maps.keys} == {"1a": (4, 6, 8), "1b": (3, 5, 9)}
    for frame in range(4):
        picture = _picture(frame)[..., 0].astype(float)
        expected = (picture - picture.min()) / (picture.max() - picture.min())
        np.testing.assert_allclose(maps.read("1a", [frame])[0] / 65535, expected, atol=1e-5)


def test_chunks_that_were_finished_before_a_run_broke_off_are_whole(chunks):
    with pytest.raises(KeyboardInterrupt):
        # The first chunk's last frame goes together with the second chunk's first of its size.
        _write_chunks(chunks, _engine(_stop_after(7)))
    (done,) = chunks[0].parent.glob("*depth_*")
    assert sorted(DepthChunk(done).keys) == ["0a", "0b"]


def test_damage_within_a_chunk_is_told_and_the_rest_goes_on(chunks):
    noise = torch.arange(50, dtype=torch.uint8)
    _save_chunk(
        chunks[0],
        {
            "half": [noise, _jpeg(_picture()), noise],
            "none": [noise],
            "empty": [],
            "odd": [_jpeg(_picture()), _jpeg(_picture(0, (4, 4)))],
        },
    )
    chunks[1].write_bytes(chunks[1].read_bytes()[:500])
    settled = []
    report = _write_chunks(chunks, advance=settled.append)
    assert (report.written, sum(settled)) == (2, pytest.approx(3))
    assert [any(part in f for f in report.failures) for part in ("of half", "of none")] == [
        True
    ] * 2
    assert any("000001.torch" in f and "cut short" in f for f in report.failures)
    assert any("frame 1 of odd" in f and "one size" in f for f in report.failures)
    assert len(report.failures) == 5
    maps = DepthChunk(chunks[0].with_name("depth_000000.safetensors"))
    assert sorted(maps.keys) == ["half", "odd"]
    half = maps.read("half", range(3))
    assert [bool(depth.any()) for depth in half] == [False, True, False]


def test_chunks_without_frames_are_told(tmp_path):
    _save_chunk(tmp_path / "0.torch", {"empty": []})
    settled = []
    report = _write_chunks([tmp_path / "0.torch"], advance=settled.append)
    assert (report.written, settled) == (0, [1])
    assert "0.torch holds no frame" in report.failures[0]


def test_a_chunk_that_cannot_be_written_stops_the_run(chunks):
    (chunks[0].with_name("depth_000000.safetensors")).mkdir()
    with pytest.raises(UserError, match="cannot write"):
        _write_chunks(chunks)
