"""The picture of the model card: a row for each failure, and one for the depth."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from configs.options_inference import EMBEDDED_MODEL
from core.models import MatchingConfig, build_model
from tools.failures import FAILURES, Failure, draw_failures

PANEL = (204, 320)
"""A picture below its label."""


def panels(sheet: np.ndarray) -> np.ndarray:
    """Return the panels of a sheet by row and column, without labels."""
    rows, columns = (sheet.shape[0] - 6) // (PANEL[0] + 6), (sheet.shape[1] - 6) // (PANEL[1] + 6)
    return np.stack(
        [
            [
                sheet[6 + r * (PANEL[0] + 6) :, 6 + c * (PANEL[1] + 6) :][24 : PANEL[0], : PANEL[1]]
                for c in range(columns)
            ]
            for r in range(rows)
        ]
    )


def test_the_shipped_picture_shows_every_failure() -> None:
    path = EMBEDDED_MODEL / "failures.jpg"
    sheet = cv2.imread(str(path))
    assert panels(sheet).shape[:2] == (len(FAILURES) + 1, 5)
    assert path.stat().st_size < 600_000
    assert path.name in (EMBEDDED_MODEL / "README.md").read_text()


def test_a_row_holds_key_frames_truth_picture_and_error() -> None:
    torch.manual_seed(0)
    model = build_model(MatchingConfig(image_height=64, image_width=112)).eval()
    shown = panels(draw_failures(model, (Failure(scene=1, left=0, top=0, width=112),)))
    assert shown.shape == (2, 5, 180, 320, 3)
    first, second, truth, network = shown[0, :4].astype(float)
    for picture in (second, truth, network):
        assert 0.5 < np.abs(picture - first).mean() < 100
    # Where the error is black there is none.
    black = shown[0, 4].max(axis=-1) < 10
    assert np.abs(network - truth).mean(axis=-1)[black].max(initial=0) < 40
