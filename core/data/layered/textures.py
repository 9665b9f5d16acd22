"""Photographs on the training device, from which layers are cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor

from core.checks import UserError
from core.data.datasets.decoding import decode_image_covering
from core.data.datasets.resizing import resize
from core.io.layouts import find_scenes
from core.io.reading import read_file
from core.logging import get_logger

_MIN_TEXTURES = 4
_MAX_THREADS = 16
_MIB = 1 << 20
_GOLDEN = (5**0.5 - 1) / 2
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Texels:
    """Where the pixels of rectangles lie, on the device: the sum of two numbers."""

    rows: Int[Tensor, "b l h"]
    """The number of each row."""
    columns: Int[Tensor, "b l w"]
    """That of each column."""


class TextureBank:
    """Photographs as bytes on a device, each at one or two sizes.

    The shorter side of a photograph is at most ``2 * min_side``: larger ones are shrunk, smaller
    ones than ``min_side`` are enlarged. What can be halved is also held at half the size.
    Scenes (see :func:`core.io.layouts.find_scenes`) take turns until the memory is full, and clips
    give frames from all their parts.

    Args:
        folder: Photographs and clips in folders of any depth.
        min_side: Shortest side of a texture in pixels.
        budget_mib: Memory in MiB.
        device: Where textures are wanted.

    Raises:
        UserError: If there are too few images that can be read.
    """

    def __init__(
        self, folder: str | Path, *, min_side: int, budget_mib: int, device: torch.device | str
    ) -> None:
        self.folder = Path(folder)
        self._min_side = min_side
        images = list(_take_turns(find_scenes(self.folder)))
        textures, scenes = self._read(images, budget_mib * _MIB)
        if len(textures) < _MIN_TEXTURES:
            raise UserError(
                f"{folder} holds {len(textures)} images that can be read; expected at least "
                f"{_MIN_TEXTURES}, better hundreds, from which layers are cut."
            )
        _, scene, counts = np.unique(scenes, return_inverse=True, return_counts=True)
        # Frames of a clip are alike: together they count as the square root of their number.
        self._weights = torch.from_numpy(counts[scene] ** -0.5)
        sizes = np.array([texture.shape[1:] for texture in textures], dtype=np.int64)
        self.sizes: Int64[Tensor, "n 2"] = torch.from_numpy(sizes)
        """Height and width of each texture, on the CPU."""
        areas = sizes.prod(axis=1)
        self.starts: Int64[Tensor, " n"] = torch.from_numpy(np.cumsum(areas) - areas)
        """Where the pixels of each begin, on the CPU."""
        pixels = np.concatenate([texture.reshape(3, -1) for texture in textures], axis=1)
        self.pixels: UInt8[Tensor, "3 pixels"] = torch.from_numpy(pixels).to(device)
        """RGB of all pixels, texture by texture, row by row."""
        _logger.info(
            "%s: %d textures of %d of its %d scenes, %d MiB.",
            self.folder,
            len(textures),
            len(counts),
            len({number for number, _ in images}),
            pixels.nbytes // _MIB,
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def _read(
        self, images: list[tuple[int, Path]], budget: int
    ) -> tuple[list[UInt8[np.ndarray, "3 h w"]], list[int]]:
        """Return textures, and the scene that each shows."""
        textures: list[UInt8[np.ndarray, "3 h w"]] = []
        scenes: list[int] = []
        size = 0
        threads = min(os.cpu_count() or 1, _MAX_THREADS)
        left = iter(images)
        with ThreadPoolExecutor(threads) as pool:
            while size < budget and (block := list(islice(left, 4 * threads))):
                read = pool.map(self._read_one, [path for _, path in block])
                for (scene, _), levels in zip(block, read, strict=True):
                    if isinstance(levels, UserError):
                        _logger.warning("%s It is left out of the textures.", levels)
                        continue
                    needed = sum(level.nbytes for level in levels)
                    if size + needed > budget and textures:
                        return textures, scenes
                    textures += levels
                    scenes += [scene] * len(levels)
                    size += needed
        return textures, scenes

    def _read_one(self, path: Path) -> list[UInt8[np.ndarray, "3 h w"]] | UserError:
        largest = 2 * self._min_side
        try:
            image = decode_image_covering(read_file(path), (largest, largest), path)
        except UserError as error:
            return error
        height, width = image.shape[:2]
        scale = self._min_side / min(height, width)
        if scale > 1.0:
            image = resize(image, (round(height * scale), round(width * scale)))
        levels = [image]
        if min(height, width) >= largest:
            half = (width // 2, height // 2)
            levels.append(cv2.resize(image, half, interpolation=cv2.INTER_AREA))
        return [np.ascontiguousarray(level.transpose(2, 0, 1)) for level in levels]

    def choose(
        self, draws: Float[Tensor, "*shape"], at_least: tuple[int, int] = (0, 0)
    ) -> Int[Tensor, "*shape"]:
        """Choose textures by uniform random numbers in [0, 1), on the CPU.

        Args:
            draws: The numbers.
            at_least: Height and width; smaller textures are left out, unless there are no others.
        """
        weights = self._weights * (self.sizes >= torch.tensor(at_least)).all(dim=1)
        edges = (weights if weights.any() else self._weights).cumsum(0)
        chosen = torch.searchsorted(edges, draws * edges[-1], right=True)
        return chosen.clamp(max=len(edges) - 1)

    def locate(
        self,
        textures: Int[Tensor, "b l"],
        places: Float[Tensor, "b l 2"],
        flips: Bool[Tensor, "b l 2"],
        size: tuple[int, int],
    ) -> Texels:
        """Find the pixels of a rectangle in each of some textures, texel by texel.

        Args:
            textures: Which, on the CPU.
            places: Where, down and to the right: 0 at one end of the texture, 1 at the other.
            flips: Whether it is turned upside down, and whether left and right are exchanged.
            size: Height and width of the rectangles; what is larger than a texture is continued by
                reflection.
        """
        sizes = self.sizes[textures]  # (b, l, 2)
        first = (places * (sizes - torch.tensor(size) + 1)).floor().long()
        starts = self.starts[textures][..., None]
        description = torch.cat([sizes, first, flips.long(), starts], dim=-1)
        description = description.to(self.pixels.device, non_blocking=True)
        heights, widths, top, left, upside_down, mirrored, starts = description.split(1, dim=-1)
        return Texels(
            rows=_reflected(size[0], top, upside_down, heights) * widths + starts,
            columns=_reflected(size[1], left, mirrored, widths),
        )

    def read(self, texels: Texels, layer: int) -> Float[Tensor, "b 3 h w"]:
        """Return RGB in [0, 1] of the rectangles of one layer."""
        index = texels.rows[:, layer, :, None] + texels.columns[:, layer, None]
        return self.pixels[:, index].transpose(0, 1).float().div_(255.0)


def _reflected(
    count: int,
    first: Int[Tensor, "*batch 1"],
    flipped: Int[Tensor, "*batch 1"],
    length: Int[Tensor, "*batch 1"],
) -> Int[Tensor, "*batch count"]:
    index = torch.arange(count, device=first.device)
    index = first + torch.where(flipped > 0, count - 1 - index, index)
    index = index.remainder(2 * length)
    return torch.minimum(index, 2 * length - 1 - index)


def _take_turns(scenes: list[list[Path]]) -> Iterator[tuple[int, Path]]:
    """Yield an image of every scene, then another of every scene, with the scene's number."""
    # Ranks of multiples of the golden ratio: those so far are always spread over the clip.
    orders = [
        np.argsort(np.argsort(np.arange(1, len(images) + 1) * _GOLDEN % 1.0)) for images in scenes
    ]
    for turn in range(max((len(images) for images in scenes), default=0)):
        for number, (images, order) in enumerate(zip(scenes, orders, strict=True)):
            if turn < len(images):
                yield number, images[order[turn]]
