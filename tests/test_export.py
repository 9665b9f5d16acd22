from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import fourdgs
import numpy as np
import pytest
import torch
from plyfile import PlyData

import export
from core.geometry.cameras import Lens
from core.geometry.lift import lift
from core.geometry.motion import freeze_at
from core.scene_file import SceneHeader, SceneWriter, open_scene
from core.types import DynamicGaussians

GRID = (9, 16)
COUNT = GRID[0] * GRID[1]
Run = Callable[..., None]
Fail = Callable[..., str]


def pair(seed: int, parts: int = 2) -> DynamicGaussians:
    draw = torch.Generator().manual_seed(seed)
    z, x = torch.meshgrid(
        1 - (2 * torch.arange(GRID[0]) + 1) / GRID[0],
        (2 * torch.arange(GRID[1]) + 1) / GRID[1] - 1,
        indexing="ij",
    )
    count = parts * COUNT

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(1, count, *shape, generator=draw)

    grid = torch.stack([x, torch.full_like(x, 0.5), z], dim=-1).reshape(1, -1, 3)
    return DynamicGaussians(
        means=grid.repeat(1, parts, 1) + 0.02 * uniform(3),
        motion=0.02 * uniform(1, 3),
        scales=0.03 + 0.02 * uniform(3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        colors=uniform(3),
        opacities=0.5 + 0.5 * uniform(),
        opacity_slopes=8 * uniform(),
        opacity_half_lives=uniform().clamp(0.1, 0.9),
        anchor_times=torch.arange(float(parts)).repeat_interleave(COUNT)[None],
    )


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Write a scene of 4 frames at 10 a second, a cut, and a shot of 3 frames; pad its picture."""
    header = SceneHeader(
        image_size=(72, 128),
        grid_size=GRID,
        frame_size=(72, 72),
        fit_mode="pad",
        frames_per_second=10.0,
    )
    with SceneWriter(tmp_path / "result" / "scene.ssplat", header) as writer:
        writer.append(pair(0), 0.0, 0.3, opens=True)
        writer.append(pair(1), 0.4, 0.6, opens=True)
    return tmp_path / "result"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, result: Path) -> Run:
    """Export the result in this process."""

    def start(*values: str | Path, source: Path = result) -> None:
        monkeypatch.setattr(sys, "argv", ["export.py", *(str(v) for v in (source, *values))])
        export.main()

    return start


@pytest.fixture
def fail(run: Run, capsys: pytest.CaptureFixture[str]) -> Fail:
    """Export in this process; return the one line that the user sees."""

    def start(*values: str | Path, **how: Path) -> str:
        with pytest.raises(SystemExit) as end:
            run(*values, **how)
        assert end.value.code == 2
        (error,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        return error

    return start


def centers(path: Path) -> np.ndarray:
    vertex = PlyData.read(str(path))["vertex"]
    return np.stack([vertex[axis] for axis in "xyz"], axis=1)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["ply", "spz", "splat", "sog", "glb", "4dgs"])
def test_a_file_appears_beside_the_scene(run: Run, result: Path, kind: str) -> None:
    run("--format", kind)
    assert names(result) == {"scene.ssplat", f"scene.{kind}"}
    assert (result / f"scene.{kind}").stat().st_size > 500


@pytest.mark.parametrize(("seconds", "number", "pair_time"), [(0.1, 0, 1 / 3), (0.6, 1, 1.0)])
def test_the_scene_is_that_of_the_time(
    run: Run, result: Path, tmp_path: Path, seconds: float, number: int, pair_time: float
) -> None:
    path = tmp_path / "elsewhere" / "at.ply"
    run("--format", "ply", "--time", str(seconds), "--fov", "80", "--output", path)
    with open_scene(result / "scene.ssplat") as reader:
        still = freeze_at(reader.read_interval(number), pair_time)
    lifted = lift(still, Lens(80.0, 72 / 128))  # the model's picture is wider than the input
    inside = (still.means[0, :, 0].abs() <= 72 / 128) & (lifted.opacities[0] > 1 / 255)
    expected = lifted.means[0, inside & lifted.valid[0]]
    np.testing.assert_allclose(centers(path), expected, rtol=1e-5, atol=1e-6)


def test_a_sequence_has_a_file_for_each_frame(run: Run, result: Path) -> None:
    run("--format", "ply_sequence")
    assert names(result / "scene_ply") == {f"scene_{k:04d}.ply" for k in range(7)}
    run("--format", "ply", "--time", "0.4")
    frame, still = result / "scene_ply" / "scene_0004.ply", result / "scene.ply"
    np.testing.assert_allclose(centers(frame), centers(still))
    run("--format", "ply_sequence", "--fps", "5")
    assert len(names(result / "scene_ply")) == 4, "the longer one before is gone"
    assert names(result) == {"scene.ssplat", "scene.ply", "scene_ply"}


def test_a_4dgs_file_goes_on_through_cuts(run: Run, result: Path) -> None:
    run("--format", "4dgs")
    scene = fourdgs.read(str(result / "scene.4dgs"))
    assert scene.header.duration_sec == pytest.approx(0.7)
    for seconds in (0.0, 0.29, 0.35, 0.399, 0.4, 0.69):
        assert len(scene.gaussians.state_at(seconds, scene.header.cutoff)["indices"]) > 50


def test_lengths_are_in_the_unit_asked_for(run: Run, result: Path) -> None:
    run("--format", "ply")
    run("--format", "ply", "--scale", "10", "--output", result / "large.ply")
    np.testing.assert_allclose(
        centers(result / "large.ply"), 10 * centers(result / "scene.ply"), rtol=1e-5
    )


def test_mistakes_are_one_line_and_leave_nothing(fail: Fail, result: Path, tmp_path: Path) -> None:
    assert "holds times from 0 to 0.6 seconds" in fail("--format", "spz", "--time", "7")
    assert "expected a name that ends in .spz" in fail(
        "--format", "spz", "--output", result / "scene.ssplat"
    )
    assert "--time: 4dgs holds" in fail("--format", "4dgs", "--time", "0")
    assert "--fps: sog holds no states" in fail("--format", "sog", "--fps", "5")
    assert "--fov is 190" in fail("--format", "sog", "--fov", "190")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"")
    message = fail("--format", "ply_sequence", "--output", tmp_path / "mine")
    assert "holds other files than a sequence" in message
    assert "holds no scene.ssplat" in fail("--format", "ply", source=tmp_path / "mine")
    assert names(tmp_path / "mine") == {"photo.png"}
    assert names(result) == {"scene.ssplat"}


def test_a_package_that_is_missing_is_named(fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert 'pip install "streamsplat[rerun]"' in fail("--format", "rrd")
