"""No frame is delivered that builds on a damaged one."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from jaxtyping import UInt8

from core.io.frames import open_frames
from core.io.video import read_video

pytestmark = pytest.mark.slow
COUNT = 60


def write(path: Path, codec: str, **options: str) -> list[tuple[int, int]]:
    """Write a moving texture; return where its packets lie in the file, and their sizes."""
    blocks = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    texture = blocks.repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.height, stream.width = texture.shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options
        for index in range(COUNT):
            image = np.roll(texture, 3 * index, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0)]


def damage(path: Path, packets: list[tuple[int, int]]) -> None:
    """Overwrite the packets behind their first bytes, which say how long they are."""
    data = bytearray(path.read_bytes())
    for at, size in packets:
        data[at + 5 : at + size] = np.random.default_rng(at).bytes(size - 5)
    path.write_bytes(data)


def cut_short(path: Path, packet: tuple[int, int]) -> None:
    """Overwrite the second half of a packet with zeros."""
    data = bytearray(path.read_bytes())
    at, size = packet
    data[at + size // 2 : at + size] = bytes(size - size // 2)
    path.write_bytes(data)


def places(path: Path, whole: UInt8[np.ndarray, "t h w 3"]) -> tuple[list[int], int]:
    """Walk through; return where each frame is in the whole video, and how many were skipped."""
    source = open_frames(path)
    found = []
    for frame in source:
        equal = [i for i, image in enumerate(whole) if np.array_equal(image, frame.image)]
        assert equal, f"frame {frame.index} is destroyed"
        found.append(equal[0])
    return found, source.skipped


@pytest.mark.parametrize("open_gop", ["0", "1"])
@pytest.mark.parametrize("first", [3, 16, 19, 23, 24, 25])
def test_frames_come_again_from_the_next_key_frame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int, open_gop: str
) -> None:
    path = tmp_path / "clip.mp4"
    packets = write(path, "libx264", g="12", sc_threshold="0", **{"open-gop": open_gop})
    whole = read_video(path)
    damage(path, packets[first : first + 1])
    with caplog.at_level("WARNING", logger="streamsplat"):
        found, skipped = places(path, whole)
    # Frames between two groups may belong to either.
    assert abs(len(found) + skipped - COUNT) <= (3 if open_gop == "1" else 0)
    assert 1 <= skipped <= 12 + 3
    assert set(range(first // 12 * 12 - 3)) <= set(found)
    assert set(range(first // 12 * 12 + 12, COUNT)) <= set(found)
    if skipped > 1:
        assert "up to the next key frame" in caplog.text


@pytest.mark.parametrize("first", [16, 25])
def test_a_frame_that_is_shown_before_a_patched_one_that_it_refers_to_is_left_out(
    tmp_path: Path, first: int
) -> None:
    path = tmp_path / "clip.mp4"
    packets = write(path, "libx264", g="12", sc_threshold="0")
    whole = read_video(path)
    cut_short(path, packets[first])
    found, skipped = places(path, whole)
    assert len(found) + skipped == COUNT
    assert 1 < skipped <= 12


def test_without_another_key_frame_all_that_follows_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    packets = write(path, "libx264", g="250", sc_threshold="0", bf="0")
    whole = read_video(path)
    damage(path, packets[20:21])
    assert places(path, whole) == (list(range(20)), COUNT - 20)


def test_a_picture_that_is_refreshed_bit_by_bit_is_whole_again_after_a_cycle(
    tmp_path: Path,
) -> None:
    path = tmp_path / "clip.mkv"
    packets = write(path, "libx264", g="10", bf="0", **{"intra-refresh": "1"})
    whole = read_video(path)
    damage(path, packets[12:13])
    found, skipped = places(path, whole)
    assert found == [*range(12), *range(30, COUNT)]
    assert skipped == 18


def test_a_damaged_jpeg_of_any_container_is_the_only_frame_left_out(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    packets = write(path, "mjpeg")
    whole = read_video(path)
    cut_short(path, packets[7])
    assert places(path, whole) == ([i for i in range(COUNT) if i != 7], 1)
