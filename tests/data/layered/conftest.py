from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from core.data.layered import TextureBank


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six smooth pictures and a clip of three."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    names = [f"photos/{i}.png" for i in range(6)]
    names += [f"clip/JPEGImages/{i:05d}.png" for i in range(3)]
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.uniform(0, 255, (9, 12, 3))
        picture = cv2.resize(coarse, (160 + 10 * i, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="session")
def bank(photographs: Path) -> TextureBank:
    return TextureBank(photographs, min_side=72, budget_mib=4, device="cpu")
