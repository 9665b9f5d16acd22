from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from av.container import OutputContainer
from av.stream import Disposition

from core.checks import UserError
from core.io.frames import open_frames
from core.io.stills.size_limit import SIZE_VARIABLE
from core.io.video import VideoSource

FRAMES = [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(6)]


def _write(path, *, video=True, cover=True, audio=False, fmt=None):
    """Write a file whose first stream is a picture, as covers and thumbnails are."""
    jpeg = cv2.imencode(".jpg", np.full((100, 100, 3), 200, np.uint8))[1].tobytes()
    with av.open(str(path), "w", format=fmt) as container:
        if cover:
            still = container.add_stream("mjpeg", rate=1)
            still.height, still.width, still.pix_fmt = 100, 100, "yuvj420p"
            still.disposition = Disposition.attached_pic.value
        moving = container.add_stream("libx264", rate=24) if video else None
        sound = container.add_stream("aac", rate=16000) if audio else None
        if moving:
            moving.height, moving.width, moving.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
        if cover:
            packet = av.Packet(jpeg)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = still, 0, 0, True
            container.mux(packet)
        if moving:
            for frame in FRAMES:
                container.mux(moving.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(moving.encode(None))
        if sound:
            for index in range(4):
                samples = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                samples.sample_rate, samples.pts = 16000, index * 1024
                container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_a_cover_is_not_the_video(tmp_path, name):
    frames = list(VideoSource(_write(tmp_path / name)))
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 6


@pytest.mark.skipif(
    not hasattr(OutputContainer, "add_attachment"), reason="this PyAV writes no attachments"
)
def test_a_cover_in_matroska_is_not_the_video(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        jpeg = cv2.imencode(".jpg", np.zeros((100, 100, 3), np.uint8))[1].tobytes()
        container.add_attachment("cover.jpg", "image/jpeg", jpeg)
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert len(list(VideoSource(path))) == 6


@pytest.mark.parametrize("cover", [True, False])
def test_sound_with_a_cover_has_no_video(tmp_path, cover):
    path = _write(tmp_path / "a.m4a", video=False, cover=cover, audio=True, fmt="mp4")
    with pytest.raises(UserError, match="has no video stream"):
        VideoSource(path)


@pytest.mark.parametrize("suffix", [".m3u8", ".ffconcat", ".sdp", ".mp4", ".mkv", ".txt", ""])
@pytest.mark.parametrize("kind", ["hls", "concat", "sdp"])
def test_a_list_of_files_is_not_followed(tmp_path, suffix, kind):
    secret = _write(tmp_path / "secret.ts", cover=False)
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {secret}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\n"
        "m=video 40000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }[kind]
    (tmp_path / f"list{suffix}").write_text(text)
    for name in (tmp_path / f"list{suffix}", f"file://{tmp_path}/list{suffix}"):
        with pytest.raises(UserError, match=r"is not a video|cannot be opened as a video"):
            open_frames(name)


def test_frames_beyond_the_limit_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = _write(tmp_path / "a.mp4", cover=False)
    monkeypatch.setenv(SIZE_VARIABLE, "0.003")
    with pytest.raises(
        UserError, match=r"a\.mp4 is 64 by 48 pixels, more than the limit of 0\.003"
    ):
        VideoSource(path)


def test_a_frame_larger_than_its_container_says_is_skipped(tmp_path):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xd0\xff\xd0"
    path.write_bytes(data)
    source = VideoSource(path)
    assert [frame.index for frame in source] == [0, 1, 2, 3, 4]
    assert source.skipped == 1


def test_a_codec_that_ffmpeg_does_not_know_is_said(tmp_path):
    path = _write(tmp_path / "a.mp4", cover=False)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(UserError, match=r"codec that FFmpeg does not decode"):
        VideoSource(path)
