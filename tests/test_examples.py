"""The examples, each as a user would run it, with a small network on a short clip."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.io import read_image, write_depth_png16, write_png
from core.io.video import read_video

EXAMPLES = Path(__file__).parents[1] / "examples"
Run = Callable[..., str]


@pytest.fixture
def model(small_model: Path) -> Path:
    return small_model


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Write a folder of frames with depth maps beside it."""
    frames = tmp_path / "clip" / "frames"
    maps = tmp_path / "clip" / "depth"
    frames.mkdir(parents=True)
    maps.mkdir()
    for index in range(8):
        image = np.full((40, 60, 3), 90, np.uint8)
        image[10:30, 4 * index : 4 * index + 15] = (220, 120, 30)
        write_png(frames / f"{index:05d}.png", image)
        write_depth_png16(maps / f"{index:05d}.png", image[..., 0] / np.float32(255))
    return frames


@pytest.fixture
def run(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example in this process and return what it prints."""

    def start(name: str, *arguments: object) -> str:
        path = EXAMPLES / name
        values = [*arguments, "--resume", model, "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, values)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return start


def test_offline_clip(run: Run, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("01_offline_clip.py", "--frames", clip, "--output-dir", out, "--slow", 2)
    assert "14 frames of 4 key frames" in said
    assert len(read_video(out / "slow_motion.mp4")) == 14
    assert sorted(file.name for file in out.glob("*.png")) == [
        f"time_{time}.png" for time in ("1.5", "4.5", "6.5")
    ]


def test_live_session(run: Run, clip: Path, tmp_path: Path) -> None:
    video = tmp_path / "live.mp4"
    said = run("02_live_session.py", "--source", clip, "--output", video, "--play-fps", 25)
    assert "frames dropped" in said
    dropped = int(said.split(" frames dropped")[0].split()[-1])
    assert len(read_video(video)) == 2 * (7 - dropped)


def test_custom_render_path(run: Run, clip: Path, tmp_path: Path) -> None:
    video = tmp_path / "path.mp4"
    said = run(
        "03_custom_render_path.py",
        "--frames",
        clip,
        "--output",
        video,
        "--frame-gap",
        3,
        "--slow",
        1,
    )
    assert "7 frames" in said
    frames = np.asarray(read_video(video))
    assert len(frames) == 7
    assert frames.std() > 5


def test_tracking(run: Run, clip: Path, tmp_path: Path) -> None:
    video = tmp_path / "tracks.mp4"
    said = run("04_tracking.py", "--frames", clip, "--output", video, "--points", 7, 20, 40, 8)
    assert "8 frames, 2 points" in said
    assert len(read_video(video)) == 8


def test_tracking_draws_points_on_every_frame_that_can_be_read(
    run: Run, clip: Path, tmp_path: Path
) -> None:
    (clip / "00000.png").write_bytes(b"damaged")
    other = np.random.default_rng(0).integers(150, 255, (40, 60, 3), np.uint8)
    for index in (5, 7):  # shots of frames 1 to 4, 5 and 6, and 7
        write_png(clip / f"{index:05d}.png", other if index == 5 else 0 * other)
    write_png(clip / "00006.png", other)
    video = tmp_path / "tracks.mp4"
    said = run("04_tracking.py", "--frames", clip, "--output", video, "--points", 30, 20)
    assert "7 frames, 1 points" in said
    frames = read_video(video).astype(int)
    assert len(frames) == 7
    for index, drawn in enumerate(frames, 1):
        change = np.abs(drawn - read_image(clip / f"{index:05d}.png"))
        assert change[14:27, 24:37].max() > 60, index


def test_tracking_refuses_frames_of_other_sizes_in_one_line(
    run: Run, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(clip / "00004.png", np.zeros((40, 62, 3), np.uint8))
    with pytest.raises(SystemExit) as end:
        run("04_tracking.py", "--frames", clip, "--output", tmp_path / "tracks.mp4")
    assert end.value.code == 2
    assert "frame 00004: the frame is 62 by 40 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("0*.py")))
def test_what_is_not_there_is_one_line(
    run: Run, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    flag = "--source" if "live" in name else "--frames"
    with pytest.raises(SystemExit) as end:
        run(name, flag, tmp_path / "nothing")
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "nothing does not exist" in error
    assert len(error.splitlines()) == 1
