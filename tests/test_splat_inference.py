from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import splat_inference
from core.io import Frame, write_depth_png16, write_png
from core.io.streams.stream import StreamSource
from core.io.video import VideoWriter, read_video

ROOT = Path(__file__).parents[1]
Run = Callable[[list[str]], None]
Fail = Callable[[list[str]], str]


@pytest.fixture
def model(small_model: Path) -> Path:
    return small_model


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(5):
        write_png(folder / f"{index:05d}.png", picture(index))
    return folder


def picture(index: int) -> np.ndarray:
    image = np.full((60, 40, 3), 90, dtype=np.uint8)
    image[10:30, 4 * index : 4 * index + 15] = (220, 120, 30)
    return image


def arguments(
    frames: Path, model: Path, output: Path, *more: str | Path, device: str = "cpu"
) -> list[str]:
    values = ("--input_frames_path", frames, "--resume", model, "--output_dir", output, *more)
    return [str(value) for value in (*values, "--orbit_frames", "3", "--device", device)]


def program(*values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "splat_inference.py"), *values],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run in this process."""

    def start(values: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["splat_inference.py", *values])
        splat_inference.main()

    return start


@pytest.fixture
def fail(run: Run, capsys: pytest.CaptureFixture[str]) -> Fail:
    """Run in this process; return the one line that the user sees."""

    def start(values: list[str]) -> str:
        with pytest.raises(SystemExit) as end:
            run(values)
        assert end.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        (error,) = [line for line in lines if line.startswith("error: ")]
        return error

    return start


@pytest.mark.slow
def test_a_folder_of_frames_becomes_a_page(frames: Path, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    result = program(*arguments(frames, model, output, "--frame_gap", "3", "--batch_size", "2"))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("depth: from the motion of the camera") == 1
    assert {file.name for file in output.iterdir()} == {
        "rendered.mp4",
        "side_by_side.mp4",
        "depth.mp4",
        "orbit.mp4",
        "overview.png",
        "gaussians.ply",
        "scene.ssplat",
        "scene.html",
        "metrics.json",
        "metrics.png",
        "index.html",
    }
    video = read_video(output / "rendered.mp4")
    assert len(video) == 5
    assert video.shape[1] > video.shape[2], "portrait stays portrait"
    metrics = json.loads((output / "metrics.json").read_text())
    assert [frame["role"] for frame in metrics["frames"]] == [
        *("given", "middle", "middle", "given", "given")
    ]
    page = (output / "index.html").read_text()
    assert "frames" in page
    for file in output.iterdir():
        assert file.name in page or file.name in ("index.html", "metrics.json")


@pytest.mark.slow
def test_an_unreadable_frame_in_the_middle_is_one_line(
    frames: Path, model: Path, tmp_path: Path
) -> None:
    (frames / "00003.png").write_bytes((frames / "00003.png").read_bytes()[:60])
    output = tmp_path / "output"
    result = program(*arguments(frames, model, output))
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("depth: ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert "00003.png" in lines[0]
    assert [file.name for file in output.iterdir()] == ["incomplete"]
    assert len(read_video(output / "incomplete" / "rendered.mp4")) == 3


def test_a_video_goes_in_too(model: Path, tmp_path: Path, run: Run) -> None:
    with VideoWriter(tmp_path / "clip.mp4", (60, 40), 24) as writer:
        for index in range(4):
            writer.write(picture(index))
    depths = tmp_path / "depths"
    for index in range(4):
        ramp = np.linspace(0, 1, 60, dtype=np.float32)[:, None]
        write_depth_png16(depths / f"{index}.png", np.tile(ramp, (1, 40)))
    values = arguments(tmp_path / "clip.mp4", model, tmp_path / "output")
    values += ["--input_depths_path", str(depths), "--fit", "pad", "--ply_time", "1.5"]
    run(values)
    assert len(read_video(tmp_path / "output" / "rendered.mp4")) == 4
    page = (tmp_path / "output" / "index.html").read_text()
    assert "files in depths" in page
    assert "at frame 1.5" in page


@pytest.mark.slow
def test_the_player_can_be_left_out(frames: Path, model: Path, tmp_path: Path, run: Run) -> None:
    run(arguments(frames, model, tmp_path / "output", "--no_html"))
    assert not (tmp_path / "output" / "scene.html").exists()
    assert "scene.html" not in (tmp_path / "output" / "index.html").read_text()


@pytest.mark.slow
def test_damage_in_mid_video_is_counted_and_the_rest_goes_on(
    model: Path, tmp_path: Path, run: Run
) -> None:
    video = tmp_path / "clip.ts"
    with av.open(str(video), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=20)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 60, 40, "yuv420p", 1
        for index in range(30):
            noisy = np.random.default_rng(index).integers(0, 9, (60, 40, 3), np.uint8)
            noisy += picture(index % 5)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(video.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 4 * 188] = bytes(4 * 188)
    video.write_bytes(data)
    values = arguments(video, model, tmp_path / "output")
    run(values)
    shown = len(read_video(tmp_path / "output" / "rendered.mp4"))
    assert 25 <= shown < 30
    assert "could not be decoded" in (tmp_path / "output" / "index.html").read_text()


class FakeCamera(StreamSource):
    """Gives a frame a millisecond, without an end unless there is a ``count``."""

    def __init__(self, count: int | None = None) -> None:
        super().__init__("fake camera", live=True)
        self.count = count

    def _decode(self) -> Iterator[Frame]:
        for index in itertools.count():
            if index == self.count:
                return
            time.sleep(0.001)
            yield Frame(index, str(index), picture(index % 5))


def test_a_camera_faster_than_the_model_loses_frames_and_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr("core.io.frames.open_frames", lambda *_, **__: FakeCamera())
    values = arguments(Path("0"), model, tmp_path / "output", "--max_frames", "6")
    run(values)
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_text())
    names = [int(frame["name"]) for frame in metrics["frames"]]
    assert len(names) == 6
    assert names == sorted(set(names))
    assert names[-1] > 6, "frames were overtaken"
    assert "came faster than the model" in (tmp_path / "output" / "index.html").read_text()


def test_ctrl_c_is_the_end_of_a_stream(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    class Stopped(FakeCamera):
        def __iter__(self) -> Iterator[Frame]:
            for taken, frame in enumerate(super().__iter__()):
                if taken == 5:
                    raise KeyboardInterrupt
                yield frame

    monkeypatch.setattr("core.io.frames.open_frames", lambda *_, **__: Stopped())
    values = arguments(Path("0"), model, tmp_path / "output")
    run(values)
    assert len(read_video(tmp_path / "output" / "rendered.mp4")) >= 4
    assert "stopping: what is reconstructed is completed" in capsys.readouterr().err


@pytest.mark.gpu
def test_a_gpu_gives_the_same_scores(frames: Path, model: Path, tmp_path: Path, run: Run) -> None:
    scores = []
    for device in ("cpu", "cuda"):
        values = arguments(frames, model, tmp_path / device, device=device)
        run(values)
        metrics = json.loads((tmp_path / device / "metrics.json").read_text())
        scores.append([frame["native"]["psnr"] for frame in metrics["frames"]])
    assert scores[0] == pytest.approx(scores[1], abs=0.05)


def test_a_missing_input_is_named(model: Path, tmp_path: Path, fail: Fail) -> None:
    values = arguments(tmp_path / "nowhere", model, tmp_path / "output")
    assert "nowhere does not exist" in fail(values)
    assert not (tmp_path / "output").exists()


def test_a_checkpoint_cut_in_half_is_named(
    frames: Path, model: Path, tmp_path: Path, fail: Fail
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_bytes((model / "config.json").read_bytes())
    weights = (model / "model.safetensors").read_bytes()
    (half / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    message = fail(arguments(frames, half, tmp_path / "output"))
    assert "model.safetensors" in message
    assert not (tmp_path / "output").exists()


def test_too_few_depths_are_counted(frames: Path, model: Path, tmp_path: Path, fail: Fail) -> None:
    depths = tmp_path / "depths"
    for index in range(3):
        write_depth_png16(depths / f"{index:05d}.png", np.zeros((6, 4), dtype=np.float32))
    values = arguments(frames, model, tmp_path / "output", "--input_depths_path", depths)
    assert "3 depth maps for 5 frames" in fail(values)


def test_an_output_that_is_a_file_is_named(
    frames: Path, model: Path, tmp_path: Path, fail: Fail
) -> None:
    (tmp_path / "output").write_text("not a folder")
    message = fail(arguments(frames, model, tmp_path / "output"))
    assert "cannot write into" in message
    assert (tmp_path / "output").read_text() == "not a folder"


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--frame_gap", "0", "at least 1"),
        ("--max_persistent", "8193", "at most 8192 with this model, four for each pixel of its "),
    ],
)
def test_an_impossible_value_is_one_line(
    frames: Path, model: Path, tmp_path: Path, option: str, value: str, expected: str, fail: Fail
) -> None:
    values = arguments(frames, model, tmp_path / "output", option, value)
    message = fail(values)
    assert message.startswith(f"error: {option} is {value}; expected {expected}")
