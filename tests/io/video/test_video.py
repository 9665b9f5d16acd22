from __future__ import annotations

import struct
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from core.checks import UserError
from core.io.frames import open_frames
from core.io.video import VideoWriter, read_video

_COLORS = np.array(
    [[230, 20, 20], [20, 230, 20], [20, 20, 230], [128, 128, 128], [250, 250, 250], [0, 0, 0]],
    np.uint8,
)
# 8-bit limited-range 4:2:0 at a high rate, measured worst case 3 in the middle of a stripe.
_TOLERANCE = 6


def _stripes(size=(48, 96)):
    return np.repeat(np.repeat(_COLORS[None], size[0], 0), size[1] // 6, 1)


def _write(path, frames, fps: float | Fraction = 30):
    with VideoWriter(path, frames[0].shape[:2], fps) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def _moving(count=60, size=(96, 128)):
    blocks = np.random.default_rng(0).integers(0, 255, (size[0] // 8, size[1] // 8, 3), np.uint8)
    base = blocks.repeat(8, 0).repeat(8, 1)
    return [np.roll(base, 3 * index, 1) for index in range(count)]


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("video") / "moving.mp4", _moving())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_colours_and_frame_order_survive(tmp_path, suffix):
    first = _stripes()
    frames = [np.roll(first, 16 * index, 1) for index in range(6)]
    video = read_video(_write(tmp_path / f"a{suffix}", frames))
    assert video.shape == (6, 48, 96, 3)
    middle = np.arange(8, 96, 16)
    for got, expected in zip(video, frames, strict=True):
        error = np.abs(got[24, middle].astype(int) - expected[24, middle])
        assert error.max() <= _TOLERANCE


def test_the_file_is_what_browsers_play(moving):
    with av.open(str(moving)) as container:
        stream = container.streams.video[0]
        assert stream.codec.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
    data = moving.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


@pytest.mark.parametrize(
    ("fps", "stored"),
    [
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12, Fraction(12)),
    ],
)
def test_frame_rates_are_kept(tmp_path, fps, stored):
    source = open_frames(_write(tmp_path / "a.mp4", [_stripes()] * 12, fps))
    assert source.fps == stored
    assert source.expected_frames == 12
    assert source.num_frames is None
    assert source.names is None


def test_odd_sides_are_padded_with_their_last_row_and_column(tmp_path):
    frame = _stripes()[:47, :95]
    video = read_video(_write(tmp_path / "a.mp4", [frame] * 2))
    assert video.shape == (2, 48, 96, 3)
    assert np.abs(video[0, -1, ::16].astype(int) - frame[-1, ::16]).max() <= _TOLERANCE


def test_tensors_are_written_too(tmp_path):
    video = read_video(_write(tmp_path / "a.mp4", [torch.from_numpy(_stripes())] * 2))
    assert np.abs(video[0, 24, 8::16].astype(int) - _COLORS).max() <= _TOLERANCE


def test_a_failure_keeps_the_old_video_and_leaves_nothing_behind(tmp_path):
    path = _write(tmp_path / "a.mp4", [_stripes()] * 2)
    before = path.read_bytes()

    def interrupted():
        with VideoWriter(path, (48, 96), 30) as writer:
            writer.write(_stripes())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"\.mp4"):
        VideoWriter(tmp_path / "a.txt", (48, 96), 30)
    for fps in (0, -1, 1e-6, float("nan"), float("inf")):
        with pytest.raises(UserError, match="frames per second"):
            VideoWriter(tmp_path / "a.mp4", (48, 96), fps)
    with pytest.raises(UserError, match="no frame"), VideoWriter(tmp_path / "a.mp4", (48, 96), 30):
        pass
    with pytest.raises(ValueError, match="float32"):
        _write(tmp_path / "a.mp4", [np.zeros((48, 96, 3), np.float32)])
    assert not list(tmp_path.iterdir())


def test_a_missing_encoder_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with caplog.at_level("WARNING", logger="streamsplat"):
        path = _write(tmp_path / "a.mp4", [_stripes()] * 2)
    assert "mpeg4" in caplog.text
    assert len(read_video(path)) == 2


def _display_matrix(a, b, c, d):
    one = 1 << 16
    return struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    ],
)
def test_the_rotation_of_a_phone_is_undone(tmp_path, moving, matrix, upright):
    data = bytearray(moving.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    assert data[at : at + 36] == _display_matrix(1, 0, 0, 1)
    data[at : at + 36] = _display_matrix(*matrix)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    image = next(iter(open_frames(turned))).image
    expected = upright(next(iter(open_frames(moving))).image)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cut_file_gives_the_frames_before_the_cut(tmp_path, suffix):
    whole = _write(tmp_path / f"whole{suffix}", _moving())
    cut = tmp_path / f"cut{suffix}"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 6 // 10])
    source = open_frames(cut)
    frames = list(source)
    assert 10 < len(frames) < 50
    assert len(frames) + source.skipped == 60
    np.testing.assert_array_equal(frames[5].image, read_video(whole)[5])
    with pytest.raises(UserError, match=r"cut\."):
        list(open_frames(cut, on_error="raise"))


def test_damage_in_the_middle_is_skipped_counted_and_said_shortly(tmp_path, moving, caplog):
    data = bytearray(moving.read_bytes())
    noise = np.random.default_rng(1)
    # The one key frame lies before.
    for at in range(data.find(b"mdat") + 4000, len(data) - 100, 1500):
        data[at : at + 40] = noise.bytes(40)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    source = open_frames(damaged)
    with caplog.at_level("WARNING", logger="streamsplat"):
        frames = list(source)
    assert source.skipped > 1
    assert len(frames) + source.skipped == 60
    assert [f.index for f in frames] == sorted({f.index for f in frames})
    assert len([m for m in caplog.messages if "damaged.mp4" in m]) == 2


def _write_tone(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_files_that_are_no_video_are_explained(tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    _write_tone(tmp_path / "tone.mp4")
    for name in ("notes.txt", "empty.mp4", "noise.mp4", "tone.mp4"):
        with pytest.raises(UserError, match=name):
            open_frames(tmp_path / name)


def test_a_header_without_a_frame_is_an_error(tmp_path, moving):
    data = moving.read_bytes()
    (tmp_path / "head.mp4").write_bytes(data[: data.find(b"mdat") + 4])
    with pytest.raises(UserError, match="not one frame"):
        list(open_frames(tmp_path / "head.mp4"))


def test_a_walk_that_is_left_early_leaves_no_thread(moving):
    before = set(threading.enumerate())  # walks of other tests may wait for the garbage collector
    walk = iter(open_frames(moving))
    next(walk)
    started = set(threading.enumerate()) - before
    assert started
    del walk
    assert not started & set(threading.enumerate())
