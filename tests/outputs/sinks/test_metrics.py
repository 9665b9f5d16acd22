from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from core.geometry.fit import FrameFit
from core.io import read_image
from core.outputs.metrics_plot import plot_psnr
from core.outputs.pictures import FrameImages
from core.outputs.sinks.metrics import MetricsSink
from core.streaming import Interval
from core.streaming.reconstruct import RenderedFrame

SIZE = (32, 64)


def rendered(index: int, *, is_key: bool, error: float, padding: float = 0.0) -> RenderedFrame:
    """Return a frame that is off by ``error``, and by ``padding`` in its left quarter."""
    target = torch.linspace(0.2, 0.6, SIZE[1]).expand(1, 3, *SIZE)
    rgb = target + error
    rgb[..., : SIZE[1] // 4] += padding
    flat = torch.ones(1, 1, *SIZE)
    interval = Interval(0, 1, 0.0, 3.0, None, opens=True)  # pyright: ignore[reportArgumentType]
    return RenderedFrame(index, f"{index:02d}", is_key, target, rgb, flat, flat, interval, 0.0, 0.0)


def put(sink: MetricsSink, frames: list[RenderedFrame]) -> None:
    scores = sink.scores(FrameImages.of(frames))
    sink.put(frames, lambda: scores)


def scored(path: Path, frames: list[RenderedFrame], fit: FrameFit | None = None) -> dict:
    sink = MetricsSink(path, fit or FrameFit((36, 64), SIZE), frame_gap=3)
    put(sink, frames)
    sink.finish()
    return json.loads(path.read_text())


def test_the_file_follows_its_schema(tmp_path: Path) -> None:
    data = scored(
        tmp_path / "metrics.json",
        [rendered(i, is_key=i % 3 == 0, error=0.1 if i % 3 else 0.01) for i in range(4)],
    )
    assert set(data) == {"frame_gap", "sizes", "mean", "frames"}
    assert data["frame_gap"] == 3
    assert data["sizes"] == {"native": [32, 64], "256": [256, 256]}
    assert [frame["role"] for frame in data["frames"]] == ["given", "middle", "middle", "given"]
    for frame in data["frames"]:
        assert set(frame) == {"index", "name", "role", "native", "256"}
        assert set(frame["native"]) == set(frame["256"]) == {"psnr", "ssim"}
    assert {role: mean["frames"] for role, mean in data["mean"].items()} == {
        "given": 2,
        "middle": 2,
        "all": 4,
    }
    for size in ("native", "256"):  # a constant offset has the same PSNR at every size
        assert data["mean"]["given"][size]["psnr"] == pytest.approx(40, abs=0.01)
        assert data["mean"]["middle"][size]["psnr"] == pytest.approx(20, abs=0.01)
        assert data["mean"]["all"][size]["psnr"] == pytest.approx(30, abs=0.01)
        assert data["mean"]["given"][size]["ssim"] > data["mean"]["middle"][size]["ssim"]


def test_where_every_frame_is_given_there_is_no_mean_in_between(tmp_path: Path) -> None:
    data = scored(tmp_path / "metrics.json", [rendered(0, is_key=True, error=0.0)])
    assert data["mean"]["middle"] is None
    assert data["mean"]["given"]["native"] == {"psnr": 100.0, "ssim": pytest.approx(1.0)}


def test_padding_is_not_compared(tmp_path: Path) -> None:
    fit = FrameFit((32, 32), SIZE, "pad")
    frame = rendered(0, is_key=True, error=0.1, padding=0.5)
    data = scored(tmp_path / "metrics.json", [frame], fit)
    assert data["sizes"]["native"] == [32, 32]
    assert data["frames"][0]["native"]["psnr"] == pytest.approx(20, abs=0.01)


def test_frames_that_are_compared_together_score_as_alone(tmp_path: Path) -> None:
    frames = [rendered(i, is_key=i % 3 == 0, error=0.03 * (i + 1)) for i in range(4)]
    together = scored(tmp_path / "together.json", frames)
    sink = MetricsSink(tmp_path / "alone.json", FrameFit((36, 64), SIZE), frame_gap=3)
    for frame in frames:
        put(sink, [frame])
    sink.finish()
    alone = json.loads((tmp_path / "alone.json").read_text())
    for one, other in zip(together["frames"], alone["frames"], strict=True):
        for size in ("native", "256"):
            assert one[size] == pytest.approx(other[size], rel=1e-5)
        assert one["index"] == other["index"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 250])
def test_the_plot_is_a_picture(tmp_path: Path, count: int) -> None:
    sink = MetricsSink(tmp_path / "metrics.json", FrameFit((36, 64), SIZE), frame_gap=3)
    for i in range(count):
        put(sink, [rendered(i, is_key=i % 3 == 0, error=0.01 * (1 + i % 5))])
    sink.finish()
    plot_psnr(sink.metrics, tmp_path / "plot.png")
    assert read_image(tmp_path / "plot.png").std() > 5
