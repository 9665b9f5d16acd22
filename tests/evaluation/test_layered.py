from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from configs.options_evaluation import EvaluationOptions
from core.checks import UserError
from core.evaluation.data.layered import open_layered
from core.geometry.optical_flow import warp

SIZE = (48, 80)


def test_frames_are_those_of_the_clip_and_flow_leads_from_one_to_the_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(5):
        picture = cv2.resize(rng.uniform(0, 255, (6, 9, 3)), (160, 120), interpolation=3)
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture.clip(0, 255).astype(np.uint8))
    clips = open_layered(tmp_path, 3, SIZE)
    assert [clip.name for clip in clips] == ["layers_000", "layers_001", "layers_002"]
    shares, errors = [], []
    for clip in clips:
        first, last = clip.read(0, 12), clip.read(12, 24)
        np.testing.assert_array_equal(first[-1].image, last[0].image)
        assert first[0].image.shape == (*SIZE, 3)
        assert first[0].inverse_depth is None
        known = clip.known_flow(0, 12)
        assert known is not None
        flow, visible = known
        shares.append(visible.float().mean().item())
        here, there = (
            torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255
            for frame in (first[0], last[0])
        )
        errors.append(
            [
                (warp(there, share * flow[None]) - here).abs().mean(dim=1)[0][visible].mean().item()
                for share in (1.0, 0.0, -1.0)
            ]
        )
    assert 0.3 < min(shares) < 1.0
    moved, still, opposite = np.sum(errors, axis=0)  # light and noise change as well
    assert moved < 0.7 * still < 0.7 * opposite


def test_photographs_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --data layered and --layered_path together"):
        EvaluationOptions(data="layered")
    with pytest.raises(UserError, match=r"--layered_path: .* holds 0 images"):
        open_layered(tmp_path, 1, SIZE)
