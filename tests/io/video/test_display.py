"""Pixel aspect, interlacing and times of real files."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
import numpy as np
import pytest

from core.io.video import VideoSource, VideoWriter
from core.logging import warn_once

_INTERLACED = 0x20040000
"""FFmpeg's flags for interlaced DCT and motion."""


def _picture(index, size=(72, 128)):
    image = np.full((*size, 3), 60, np.uint8)
    left = 10 + 6 * index
    image[20:50, left : left + 30] = (230, 40, 40)
    return image


def _encode(path, frames, codec="libx264", *, setup=None, stamps=None, fmt=None, time_base=None):
    with av.open(str(path), "w", format=fmt) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        if time_base:
            stream.codec_context.time_base = time_base
        if setup:
            setup(stream.codec_context)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = stamps[index] if stamps else index
            if time_base:
                frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [((2, 1), (72, 256)), ((1, 2), (144, 128)), ((16, 15), (72, 137)), ((999, 1), (72, 128))],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixels_become_square(tmp_path, suffix, aspect, shape):
    def setup(codec):
        codec.sample_aspect_ratio = Fraction(*aspect)

    warn_once.cache_clear()
    source = VideoSource(_encode(tmp_path / f"a{suffix}", [_picture(0)] * 2, setup=setup))
    assert {frame.image.shape[:2] for frame in source} == {shape}


@pytest.mark.parametrize(
    ("codec", "fmt", "suffix"),
    [("mpeg2video", "mpeg", ".mpg"), ("mpeg2video", "mpegts", ".ts"), ("libx264", None, ".mkv")],
)
def test_interlaced_frames_lose_their_comb(tmp_path, caplog, monkeypatch, codec, fmt, suffix):
    monkeypatch.setattr(logging.getLogger("streamsplat"), "propagate", True)
    caplog.set_level(logging.INFO, "streamsplat")
    frames = []
    for index in range(8):
        frame = _picture(2 * index % 8)
        frame[1::2] = _picture(2 * index % 8 + 1)[1::2]
        frames.append(frame)

    def comb(image):
        rows = image.astype(int)
        return np.abs(rows[1:-1:2] - (rows[:-2:2] + rows[2::2]) // 2).mean()

    def setup(codec_context):
        codec_context.flags |= _INTERLACED

    warn_once.cache_clear()
    source = VideoSource(_encode(tmp_path / f"a{suffix}", frames, codec, setup=setup, fmt=fmt))
    shown = list(source)
    assert source.peek().index == 0
    assert len(shown) == 8
    assert np.mean([comb(frame.image) for frame in shown]) < comb(frames[0]) / 2
    assert np.diff([frame.time for frame in shown]) == pytest.approx(0.04, abs=1e-3)
    assert caplog.text.count("is interlaced") == 1


@pytest.mark.parametrize(
    ("suffix", "first"),
    # The edit list of MP4 cuts off what comes before 0.
    [(".mp4", 0), (".mp4", 5000), (".mov", 0), (".mkv", 0), (".mkv", -700), (".mkv", 5000)],
)
def test_time_stamps_survive_reading_and_writing(tmp_path, suffix, first):
    stamps = [0, 33, 67, 100, 133, 3000, 3033]
    frames = [_picture(index) for index in range(7)]
    path = _encode(
        tmp_path / f"a{suffix}",
        frames,
        stamps=[first + stamp for stamp in stamps],
        time_base=Fraction(1, 1000),
    )
    shown = list(VideoSource(path))
    times = [frame.time for frame in shown]
    assert times == pytest.approx([stamp / 1000 for stamp in stamps], abs=1e-3)
    copy = tmp_path / f"copy{suffix}"
    with VideoWriter(copy, (72, 128), 24, timed=True) as writer:
        for frame in shown:
            writer.write(frame.image, frame.time)
        writer.write(frame.image)  # one frame's duration after the last
    assert [frame.time for frame in VideoSource(copy)] == pytest.approx(
        [*times, times[-1] + 1 / 24], abs=1e-3
    )
    with av.open(str(copy)) as container:
        assert container.duration / 1e6 == pytest.approx(times[-1] + 2 / 24, abs=0.01)
