"""The plain way to load samples, as a baseline: Pillow decodes, torchvision resizes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from texture_datasets import StoredFrame
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from core.data.sampling.order import draw_frames, sample_generator
from core.io.chunks.depth import DepthChunk, depth_chunk_path

SIZE = (288, 512)
"""Height and width of samples."""
NUM_FRAMES = 6
"""Frames of a sample."""


class PlainDataset(Dataset[tuple[Tensor, ...]]):
    """Samples the plain way: Pillow decodes, torchvision resizes, everything is float32.

    Args:
        sequences: The frames of each sequence.
        reach: As for ours.
    """

    def __init__(self, sequences: Sequence[Sequence[StoredFrame]], reach: int) -> None:
        self._sequences = sequences
        self._reach = reach

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        generator = sample_generator(0, index)
        sequence = self._sequences[int(generator.integers(len(self._sequences)))]
        start = int(generator.integers(len(sequence) - NUM_FRAMES + 1))
        chosen = draw_frames(generator, start, NUM_FRAMES, self._reach, len(sequence))
        frames = [sequence[frame] for frame in chosen]
        masks = [frame.mask for frame in frames if frame.mask is not None]
        return (
            torch.stack([_plain_image(frame.image) for frame in frames]),
            torch.stack([_plain_depth(frame.depth) for frame in frames]),
            torch.stack([_plain_mask(mask) for mask in masks])
            if masks
            else torch.zeros(NUM_FRAMES, 1, *SIZE),
        )


def _plain_image(image: Path | Tensor) -> Float[Tensor, "3 h w"]:
    file = image if isinstance(image, Path) else io.BytesIO(image.numpy().tobytes())
    picture = Image.open(file).convert("RGB")
    top, left, height, width = _crop_box(picture.height, picture.width)
    seen = picture.crop((left, top, left + width, top + height))
    resized = vision.resize(cast(Any, seen), list(SIZE))  # its types know tensors only
    return vision.to_tensor(cast(Any, resized))


def _plain_mask(path: Path) -> Float[Tensor, "1 h w"]:
    labels = torch.from_numpy(np.array(Image.open(path)))[None]
    labels = vision.crop(labels, *_crop_box(*labels.shape[-2:]))
    return (vision.resize(labels, list(SIZE), InterpolationMode.NEAREST) > 0).float()


def _plain_depth(depth: Path | np.ndarray) -> Float[Tensor, "1 h w"]:
    values = np.array(Image.open(depth)) if isinstance(depth, Path) else depth
    values = torch.from_numpy(values.astype(np.float32))[None]
    values = vision.crop(values, *_crop_box(*values.shape[-2:]))
    values = vision.resize(values, list(SIZE))
    return (values - values.min()) / (values.max() - values.min())


def _crop_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the largest part of the proportions of ``SIZE``."""
    scale = min(height / SIZE[0], width / SIZE[1])
    rows, columns = round(scale * SIZE[0]), round(scale * SIZE[1])
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def load_plain_chunks(root: Path) -> list[list[StoredFrame]]:
    """Load every chunk of a split into memory."""
    sequences: list[list[StoredFrame]] = []
    for path in sorted((root / "train").glob("*.torch")):
        depths = DepthChunk(depth_chunk_path(path))
        for entry in torch.load(path, weights_only=True):
            maps = depths.read(entry["key"], range(len(entry["images"])))
            pairs = zip(entry["images"], maps, strict=True)
            sequences.append([StoredFrame(image, depth, None) for image, depth in pairs])
    return sequences
