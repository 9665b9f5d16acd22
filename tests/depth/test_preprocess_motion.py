"""``python -m core.depth.preprocess --source motion``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from core.checks import UserError
from core.depth.dataset_maps import preprocess
from core.depth.motion.stream import slope
from core.depth.options import DepthOptions
from core.io import write_png
from tests.moving_camera import View

OPTIONS = DepthOptions(source="motion", threads=2)


def _clip(folder: Path, views: list[View]) -> Path:
    for index, view in enumerate(views):
        write_png(
            folder / "JPEGImages" / f"{index:05d}.png", np.repeat(view.picture()[..., None], 3, 2)
        )
    return folder


def test_a_clip_gets_depth_and_confidence_and_one_without_parallax_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moving = _clip(tmp_path / "moving", [View(0.16 * i) for i in range(6)])
    still = _clip(tmp_path / "still", [View()] * 3)
    with caplog.at_level("INFO", logger="streamsplat"):
        assert preprocess("frames", [tmp_path], OPTIONS) == 0
    assert "written for 6 image(s)" in caplog.text
    assert f"{still}/JPEGImages: its camera" in caplog.text
    assert not (still / "depthImages").exists()
    for index in range(6):
        truth = View(0.16 * index).inverse_depth()
        depth = cv2.imread(str(moving / f"depthImages/{index:05d}_pred.png"), -1)
        sure = cv2.imread(str(moving / f"depthConfidence/{index:05d}.png"), -1)
        assert (depth.dtype, sure.dtype) == (np.uint16, np.uint8)
        assert depth.shape == sure.shape == (96, 128)
        small = cv2.resize(depth.astype(np.float32), (64, 48), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(small.ravel(), truth.ravel())[0, 1] > 0.5
        assert np.corrcoef(slope(48, 64).ravel(), truth.ravel())[0, 1] < 0.4, "where it began"
        assert sure.mean() > 100
    before = {path: path.stat().st_mtime_ns for path in moving.rglob("*.png")}
    caplog.clear()
    with caplog.at_level("INFO", logger="streamsplat"):
        preprocess("frames", [moving], OPTIONS)
    assert "6 had it already" in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in moving.rglob("*.png")}
    (moving / "depthImages" / "00003_pred.png").unlink()
    with caplog.at_level("INFO", logger="streamsplat"):
        preprocess("frames", [moving], OPTIONS)
    assert "written for 6 image(s); 0 had it" in caplog.text, "a clip is made as a whole"


def test_a_clip_that_cannot_be_read_whole_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = _clip(tmp_path / "clip", [View(0.1 * i) for i in range(3)])
    (clip / "JPEGImages" / "00001.png").write_bytes(b"no picture")
    assert preprocess("frames", [tmp_path], OPTIONS) == 1
    assert "00001.png" in caplog.text
    write_png(clip / "JPEGImages" / "00001.png", np.zeros((8, 8, 3), np.uint8))
    assert preprocess("frames", [tmp_path], OPTIONS) == 1
    assert "several sizes" in caplog.text


def test_chunks_have_no_clips(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "0.torch").write_bytes(b"")
    with pytest.raises(UserError, match="knows no re10k chunks"):
        preprocess("re10k", [tmp_path], OPTIONS)


@pytest.mark.parametrize("fov", [5.0, 170.0, float("nan")])
def test_an_impossible_angle_of_view_is_refused(fov: float) -> None:
    with pytest.raises(UserError, match="--fov"):
        DepthOptions(fov=fov)
