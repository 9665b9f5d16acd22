"""Chunks of image sequences in the manner of pixelSplat, by which RealEstate10K is stored."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from core.io.plain_tensors import load_plain
from core.io.reading import one_line_errors, require_regular


@dataclass(frozen=True)
class ChunkSequence:
    """One sequence of a chunk."""

    key: str
    """Its name."""
    images: tuple[UInt8[Tensor, " bytes"], ...]
    """Its frames, as JPEG files."""
    timestamps: tuple[float, ...]
    """When each frame was taken, microseconds; the frames' numbers where the chunk has no times, or
    times that do not rise."""


def read_image_chunk(path: str | Path) -> list[ChunkSequence]:
    """Open a ``.torch`` chunk: a list of {"key", "images": [uint8 tensors of JPEG bytes], ...}.

    Only tensors and plain values are read (``weights_only``). The file is mapped into memory,
    and read as far as it is used.

    Raises:
        UserError: If the file is missing, cut short, damaged, or holds something else.
    """
    with one_line_errors(
        f"cannot read the image chunk {path}: it is cut short, damaged, or no list of sequences "
        "with key and images; download it again."
    ):
        require_regular(path, "image chunk")
        return [
            ChunkSequence(str(entry["key"]), _images(entry), _timestamps(entry))
            for entry in load_plain(path, mapped=True)
        ]


def _images(entry: dict[str, Any]) -> tuple[Tensor, ...]:
    images = tuple(entry["images"])
    if not all(isinstance(image, Tensor) and image.dtype == torch.uint8 for image in images):
        raise TypeError("an image is no tensor of bytes")
    return images


def _timestamps(entry: dict[str, Any]) -> tuple[float, ...]:
    count = len(entry["images"])
    times = entry.get("timestamps")
    found = [float(time) for time in times.tolist()] if isinstance(times, Tensor) else []
    if len(found) == count and all(earlier < later for earlier, later in pairwise(found)):
        return tuple(found)
    return tuple(map(float, range(count)))
