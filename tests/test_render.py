from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import render
from core.geometry.canonical import pixel_centers
from core.io import read_depth, read_image
from core.io.video import read_video
from core.scene_file import SceneHeader, SceneWriter
from core.types import DynamicGaussians

GRID = (24, 40)
Run = Callable[..., Path]


def picture(time: float) -> DynamicGaussians:
    """Return a far plane, red on the left, and a nearer blue spot in the middle."""
    rows, columns = GRID
    x, z = (plane.flatten() for plane in pixel_centers(rows, columns))
    spot = x.square() + z.square() < 0.1
    count = len(x)
    colors = torch.stack([(x < 0).float(), torch.full_like(x, 0.2), spot.float()], dim=-1)
    return DynamicGaussians(
        means=torch.stack([x, torch.where(spot, 0.6, 0.1), z], dim=-1)[None],
        motion=torch.zeros(1, count, 0, 3),
        scales=torch.tensor([0.9 / columns, 0.8 / rows, 0.9 / rows]).expand(1, count, 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        colors=colors[None],
        opacities=torch.full((1, count), 0.95),
        opacity_slopes=torch.zeros(1, count),
        opacity_half_lives=torch.full((1, count), 0.5),
        anchor_times=torch.full((1, count), time),
    )


def write(path: Path, header: SceneHeader) -> Path:
    with SceneWriter(path, header) as writer:
        gaussians = DynamicGaussians.cat([picture(0.0), picture(1.0)], dim=1)
        for i in range(2):
            writer.append(gaussians, 0.5 * i, 0.5 * (i + 1), opens=i == 0)
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    header = SceneHeader((48, 80), GRID, (96, 160), frames_per_second=8)
    return write(tmp_path / "scene.ssplat", header)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program in this process; return its output folder."""

    def start(*values: object) -> Path:
        output = tmp_path / "output"
        arguments = ["render.py", *values, "--output_dir", output, "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", [str(value) for value in arguments])
        render.main()
        return output

    return start


def test_times_become_pictures_of_any_size(run: Run, scene: Path) -> None:
    output = run(scene, "--times", 0, 0.3, 1, "--size", 45, 111)
    names = {f"{kind}_{time}.png" for kind in ("depth", "time") for time in ("0", "0.3", "1")}
    assert {file.name for file in output.iterdir()} == names
    image = read_image(output / "time_0.3.png")
    assert image.shape == (45, 111, 3)
    assert image[22, 10, 0] > 200, "red on the left"
    assert image[22, 100, 0] < 60
    assert image[22, 70, 2] > 200, "blue in the middle"
    depth = read_depth(output / "depth_0.3.png")
    assert depth[22, 55] == pytest.approx(0.6, abs=0.05)
    assert depth[22, 5] == pytest.approx(0.1, abs=0.02)


def test_without_times_there_are_videos(run: Run, scene: Path) -> None:
    output = run(scene)
    assert {file.name for file in output.iterdir()} == {"video.mp4", "video_depth.mp4"}
    assert read_video(output / "video.mp4").shape == (9, 48, 80, 3), "0 to 1 seconds at 8 a second"
    output = run(scene, "--slow", 2, "--fps", 4, "--camera", "orbit", "--size", 20, 32)
    assert read_video(output / "video.mp4").shape == (9, 20, 32, 3)
    assert read_video(output / "video_depth.mp4").shape == (9, 20, 32, 3)


def test_the_scene_becomes_a_page(run: Run, scene: Path) -> None:
    assert [file.name for file in run(scene, "--html").iterdir()] == ["scene.html"]


def test_pinhole_cameras_see_parallax(run: Run, scene: Path) -> None:
    def spot(*values: object) -> float:
        image = read_image(run(scene, "--times", 0.5, *values) / "time_0.5.png")
        column = np.arange(image.shape[1])
        blue = image[20:28, :, 2].astype(float)
        return float((blue * column).sum() / blue.sum())

    def edge(*values: object) -> float:
        image = read_image(run(scene, "--times", 0.5, *values) / "time_0.5.png")
        return float((image[4, :, 0] > 128).sum())

    for place in (spot, edge):
        assert place("--camera", "perspective") == pytest.approx(place(), abs=1)
    right = ("--camera", "perspective", "--eye", 0.02, 0, 0)
    moved = spot(*right) - spot()
    assert abs(moved - (edge(*right) - edge())) > 2, "the nearer one shifts against the farther one"
    assert spot("--camera", "orbit") != pytest.approx(spot(), abs=0.3)


def test_padding_is_not_shown(run: Run, tmp_path: Path) -> None:
    header = SceneHeader((48, 80), GRID, (100, 100), fit_mode="pad")
    scene = write(tmp_path / "padded.ssplat", header)
    assert read_image(run(scene, "--times", 0) / "time_0.png").shape == (48, 48, 3)
    large = read_image(run(scene, "--times", 0, "--size", 96, 96) / "time_0.png")
    small = read_image(run(scene, "--times", 0) / "time_0.png")
    assert (
        np.abs(cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA) - small * 1.0).mean() < 8
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("--times", 0.5, 1.5), "holds times from 0 to 1 seconds; 1.5 is outside"),
        (("--times", "nan"), "--times"),
        (("--size", 0, 50), "--size"),
        (("--size", 50000, 50000), "--size"),
        (("--fov", 180), "--fov"),
        (("--eye", "inf", 0, 0), "--eye"),
        (("--fps", 0), "--fps"),
        (("--slow", -1), "--slow"),
        (("--orbit_seconds", 0), "--orbit_seconds"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(
    run: Run, scene: Path, capsys: pytest.CaptureFixture[str], values: tuple, said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run(scene, *values)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert len(error.splitlines()) == 1
    assert not any((scene.parent / "output").glob("*"))


def test_a_file_without_an_end_is_rendered_as_far_as_it_goes(
    run: Run, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = scene.read_bytes()
    scene.write_bytes(data[: len(data) * 4 // 5])
    output = run(scene, "--fps", 4)
    assert "is not complete" in capsys.readouterr().err
    assert len(read_video(output / "video.mp4")) == 3
    scene.write_bytes(data[:100])
    with pytest.raises(SystemExit):
        run(scene)
    assert "no interval that is complete" in capsys.readouterr().err
