"""Small clips on disk, and a measurement with one Gaussian a pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.evaluation.data.open import open_dataset_clips
from core.evaluation.measure import Measurement
from core.evaluation.methods.frame_folders import FolderMethod
from core.evaluation.methods.network import NetworkMethod
from core.evaluation.run import Evaluation
from core.evaluation.scores.frames import FrameScorer
from core.io import write_png
from tests.metrics.textures import texture
from tests.pixel_clips import MODEL_SIZE, PixelModel

FRAMES = 8


def write_clip(folder: Path, seed: int, size: tuple[int, int] = (40, 80)) -> None:
    """Write a texture that moves, a mask of its left half, and depth that falls with the row."""
    height, width = size
    image = texture(height, width + 4 * FRAMES, seed).permute(1, 2, 0).numpy()
    mask = np.zeros(size, np.uint8)
    mask[:, : width // 2] = 1
    depth = np.repeat(np.linspace(4000, 1000, height)[:, None], width, axis=1).astype(np.uint16)
    depth[:4] = 0
    for i in range(FRAMES):
        picture = np.ascontiguousarray(image[:, 2 * i : 2 * i + width])
        write_png(folder / "JPEGImages" / f"{i:05d}.png", picture)
        write_png(folder / "Annotations" / f"{i:05d}.png", mask)
        write_png(folder / "Depth" / f"{i:05d}.png", depth)


@pytest.fixture
def clips_folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("boat", "cat", "dog")):
        write_clip(tmp_path / "clips" / name, seed)
    return tmp_path / "clips"


BuildEvaluation = Callable[..., Evaluation]


@pytest.fixture
def evaluation(clips_folder: Path, tmp_path: Path) -> BuildEvaluation:
    """Build an evaluation of the clips."""

    def build(
        output: str = "out",
        *,
        others: tuple[FolderMethod, ...] = (),
        save: bool = False,
        gaps: tuple[int, ...] = (3,),
    ) -> Evaluation:
        folder = tmp_path / output
        network = NetworkMethod(PixelModel(), MODEL_SIZE, torch.device("cpu"))
        measurement = Measurement(
            network=network,
            frames=FrameScorer(("published", "native")),
            gaps=gaps,
            others=others,
            frames_folder=folder / "frames" if save else None,
        )
        clips = open_dataset_clips("frames", [clips_folder])
        return Evaluation(
            clips,
            measurement,
            {"sha256": {"network": "0"}, "parameters": 0, "data": "frames"},
            "a command",
            folder,
        )

    return build


def area_resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink an image of floats by exact area averages, grow it bicubically within its range."""
    height, width = size
    shrunk = cv2.resize(
        image,
        (min(width, image.shape[1]), min(height, image.shape[0])),
        interpolation=cv2.INTER_AREA,
    )
    if shrunk.shape[:2] == size:
        return shrunk
    grown = torch.nn.functional.interpolate(
        torch.from_numpy(shrunk).permute(2, 0, 1)[None], size=size, mode="bicubic"
    )[0]
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    return np.clip(grown.permute(1, 2, 0).numpy(), low, high)
