from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.depth.source import FileDepth, NoDepth, choose_depth, open_depth
from core.io import Frame, write_depth_png16

CPU = torch.device("cpu")


def test_files_are_matched_and_brought_to_the_frame_s_size(
    synthetic_source, tmp_path: Path
) -> None:
    for index in range(3):
        ramp = np.linspace(0, 1, 32, dtype=np.float32) * (index + 1) / 3
        write_depth_png16(tmp_path / f"{index:04d}.png", np.tile(ramp, (18, 1)))
    source = synthetic_source(3)
    depth = open_depth(tmp_path, source, CPU, tmp_path)
    assert depth.description == f"files in {tmp_path.name}"
    for frame in source:
        values = depth.inverse_depth(frame)
        assert values.shape == (1, 1, 36, 64)
        assert values.max().item() == pytest.approx((frame.index + 1) / 3, abs=1e-3)


def test_too_few_files_are_noticed_at_once(synthetic_source, tmp_path: Path) -> None:
    write_depth_png16(tmp_path / "0000.png", np.zeros((4, 4), dtype=np.float32))
    with pytest.raises(UserError, match="1 depth maps for 3 frames"):
        open_depth(tmp_path, synthetic_source(3), CPU, tmp_path)


def test_without_files_and_weights_there_is_none_and_it_is_said(
    synthetic_source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="streamsplat"):
        depth = open_depth(None, synthetic_source(1), CPU, tmp_path)
    assert isinstance(depth, NoDepth)
    assert "depth: none" in caplog.text
    assert "depth_anything_v2_vits.pth" in caplog.text
    assert "--" not in caplog.text, "programs call their options by different names"
    frame = Frame(0, "0", np.zeros((4, 6, 3), dtype=np.uint8))
    assert depth.inverse_depth(frame) is None


def test_a_damaged_weight_file_is_an_error_and_not_no_depth(
    synthetic_source, tmp_path: Path
) -> None:
    (tmp_path / "depth_anything_v2_vits.pth").write_bytes(b"half a file")
    with pytest.raises(UserError, match="depth_anything_v2_vits"):
        open_depth(None, synthetic_source(1), CPU, tmp_path)


def test_maps_that_hold_no_depth_are_said_once(
    synthetic_source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index in range(3):
        np.save(tmp_path / f"{index}.npy", np.full((4, 4), np.nan if index else 1, np.float32))
    source = synthetic_source(3)
    depth = open_depth(tmp_path, source, CPU, tmp_path)
    with caplog.at_level(logging.WARNING, logger="streamsplat"):
        maps = [depth.inverse_depth(frame) for frame in source]
    assert all(values.isfinite().all() for values in maps)
    assert caplog.text.count("stands for no depth") == 1


def test_auto_takes_files_then_the_network_then_motion(
    synthetic_source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = synthetic_source(1)
    write_depth_png16(tmp_path / "0000.png", np.zeros((4, 4), dtype=np.float32))
    assert isinstance(choose_depth("auto", tmp_path, source, CPU, tmp_path), FileDepth)
    with caplog.at_level(logging.INFO, logger="streamsplat"):
        assert choose_depth("auto", None, source, CPU, tmp_path) is None
    assert "motion" in caplog.text
    assert choose_depth("motion", None, source, CPU, tmp_path) is None
    (tmp_path / "depth_anything_v2_vits.pth").write_bytes(b"half a file")
    with pytest.raises(UserError, match="depth_anything_v2_vits"):
        choose_depth("auto", None, source, CPU, tmp_path)
    assert isinstance(choose_depth("none", None, source, CPU, tmp_path), NoDepth)


def test_a_network_without_weights_is_refused(synthetic_source, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--depth model needs weights"):
        choose_depth("model", None, synthetic_source(1), CPU, tmp_path)
