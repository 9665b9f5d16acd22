"""Small folders of clips, written for the test that asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., Path]:
    """Write ``<tmp>/clips/<name>`` and return ``<tmp>/clips``.

    Every pixel of the image is also its mask and its depth: red is the mask times 255, green the
    frame's number times 10, blue the inverse depth.
    """

    def write(
        name: str,
        num_frames: int,
        size: tuple[int, int] = (48, 80),
        *,
        masks: bool = False,
        depth_bits: int | None = None,
        missing_masks: int = 0,
    ) -> Path:
        rng = np.random.default_rng(len(name))
        clip = tmp_path / "clips" / name
        for folder in ("JPEGImages", "Annotations", "depthImages"):
            (clip / folder).mkdir(parents=True, exist_ok=True)
        for frame in range(num_frames):
            mask = cv2.resize((rng.uniform(size=(6, 10)) > 0.5).astype(np.uint8), size[::-1])
            ramp = np.broadcast_to(np.linspace(20, 220, size[1]), size).astype(np.uint8)
            image = np.stack([ramp, np.full(size, 10 * frame, np.uint8), 255 * mask], axis=-1)
            cv2.imwrite(str(clip / f"JPEGImages/{frame:05d}.png"), image)
            if masks and frame >= missing_masks:
                cv2.imwrite(str(clip / f"Annotations/{frame:05d}.png"), 38 * mask)
            if depth_bits is not None:
                depth = ramp if depth_bits == 8 else ramp.astype(np.uint16) * 257
                cv2.imwrite(str(clip / f"depthImages/{frame:05d}_pred.png"), depth)
        return tmp_path / "clips"

    return write
