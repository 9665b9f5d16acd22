"""The demo clip that ships with the package is whole, and its script can make it again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import core
from core.io.stills.depth_maps import DepthFolder, read_depth
from core.io.video import read_video
from tools.demo_clip.__main__ import DemoClipOptions, write_demo_clip

SHIPPED = Path(core.__file__).parent / "assets" / "demo_clip"


def test_the_shipped_clip_has_depth_for_every_frame() -> None:
    frames = read_video(SHIPPED / "clip.mp4")
    assert frames.shape == (48, 288, 512, 3)
    depths = DepthFolder(SHIPPED / "depth")
    assert len(depths) == len(frames)
    for index in (0, 24, 47):
        depth = read_depth(depths.file(index))
        assert depth.shape == (288, 512)
        assert depth.min() == 0
        assert depth.max() == 1
        # The sky is far, the meadow near.
        assert depth[:5].max() < 0.01 < 0.9 < depth[-10:].min()


def test_the_shipped_clip_is_small() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_500_000


def test_the_script_makes_the_shipped_clip(tmp_path: Path) -> None:
    # A clip of two frames walks the same path in one step.
    write_demo_clip(DemoClipOptions(output=tmp_path, num_frames=2))
    made, shipped = read_video(tmp_path / "clip.mp4"), read_video(SHIPPED / "clip.mp4")
    assert len(made) == 2
    for position, index in ((0, 0), (1, 47)):
        assert_same_frame(made[position], shipped[index], tmp_path, position, index)


def assert_same_frame(
    made: np.ndarray, shipped: np.ndarray, folder: Path, position: int, index: int
) -> None:
    error = made.astype(np.float32) - shipped
    assert np.abs(error).mean() < 3.0  # in 255ths: what the encoder does differently
    depth = read_depth(folder / "depth" / f"{position:05d}.png")
    expected = read_depth(SHIPPED / "depth" / f"{index:05d}.png")
    assert (np.abs(depth - expected) > 1e-3).mean() < 1e-3
    # Depth edges are colour edges: around them, the picture changes more than elsewhere.
    steep = np.abs(cv2.Laplacian(depth, cv2.CV_32F)) > 0.05
    gray = cv2.cvtColor(made, cv2.COLOR_RGB2GRAY).astype(np.float32)
    change = np.abs(cv2.Laplacian(gray, cv2.CV_32F))
    assert change[steep].mean() > 2.0 * change[~steep].mean()
