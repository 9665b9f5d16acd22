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
from core.data.datasets.decoding import decode_image_covering, read_file
from core.data.datasets.resizing import resize
from core.io.layouts import find_image_folders
from core.logging import get_logger

_MIN_PHOTOGRAPHS = 4
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
    Folders, which may be clips of alike frames, take turns until the memory is full, and each gives
    photographs from all its parts.

    Args:
        folder: Images in folders of any depth; of a clip those in its ``JPEGImages``.
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
        images = list(_take_turns(find_image_folders(self.folder)))
        textures, used = self._read(images, budget_mib * _MIB)
        if used < _MIN_PHOTOGRAPHS:
            raise UserError(
                f"{folder} holds {used} images that can be read; expected at least "
                f"{_MIN_PHOTOGRAPHS}, better hundreds, from which layers are cut."
            )
        sizes = np.array([texture.shape[1:] for texture in textures], dtype=np.int64)
        self.sizes: Int64[Tensor, "n 2"] = torch.from_numpy(sizes)
        """Height and width of each texture, on the CPU."""
        counts = sizes.prod(axis=1)
        self.starts: Int64[Tensor, " n"] = torch.from_numpy(np.cumsum(counts) - counts)
        """Where the pixels of each begin, on the CPU."""
        pixels = np.concatenate([texture.reshape(3, -1) for texture in textures], axis=1)
        self.pixels: UInt8[Tensor, "3 pixels"] = torch.from_numpy(pixels).to(device)
        """RGB of all pixels, texture by texture, row by row."""
        _logger.info(
            "%s: %d of %d images are textures, %d MiB.",
            self.folder,
            used,
            len(images),
            pixels.nbytes // _MIB,
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def _read(
        self, images: list[Path], budget: int
    ) -> tuple[list[UInt8[np.ndarray, "3 h w"]], int]:
        textures: list[UInt8[np.ndarray, "3 h w"]] = []
        size, used, unreadable = 0, 0, 0
        threads = min(os.cpu_count() or 1, _MAX_THREADS)
        left = iter(images)
        with ThreadPoolExecutor(threads) as pool:
            while size < budget and (block := list(islice(left, 4 * threads))):
                for levels in pool.map(self._read_one, block):
                    if isinstance(levels, UserError):
                        unreadable += 1
                        _logger.warning("%s It is left out of the textures.", levels)
                        continue
                    needed = sum(level.nbytes for level in levels)
                    if size + needed > budget and textures:
                        return textures, used
                    textures += levels
                    size, used = size + needed, used + 1
        return textures, used

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


def _take_turns(folders: list[list[Path]]) -> Iterator[Path]:
    """Yield an image of every folder, then another of every folder, and so on."""
    # Multiples of the golden ratio: those that came so far are always spread over the folder.
    orders = [iter(np.argsort(np.arange(1, len(names) + 1) * _GOLDEN % 1.0)) for names in folders]
    waiting = list(zip(folders, orders, strict=True))
    while waiting:
        left = []
        for names, order in waiting:
            if (place := next(order, None)) is not None:
                yield names[place]
                left.append((names, order))
        waiting = left
