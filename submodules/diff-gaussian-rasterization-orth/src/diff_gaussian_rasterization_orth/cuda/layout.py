"""Sizes of one call, and where its parts lie in memory.

A call keeps ten arrays beside its images. They share one allocation, since on a small scene an
allocation takes as long as a kernel.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import accumulate

from jaxtyping import Float
from torch import Tensor

TILE_SIZE = 16
GROUP = 4
"""Tiles a side of a group; ``kGroup`` of tile_lists.cu."""
RESERVE_BLOCK = 1024
"""Tiles a block of reserve_lists; ``kReserveBlock`` of tile_lists.cu."""
MAX_PAIRS = 2**31 - 1
_MAX_IMAGES = 65535
_DEPTH_BUCKETS = 128
_MAX_COVER = 2**24
"""Most depth buckets over all tiles, 64 MiB."""
_STATUS_WORDS = 6


@dataclass(frozen=True)
class Kept:
    """What a call keeps for its gradients: where each part begins, in words of 4 bytes."""

    splats: int
    """Four words a Gaussian and image."""
    surfaces: int
    """Eight words each."""
    lists: int
    """Two words a tile: where its list begins and ends."""
    transmittances: int
    """One word a pixel: the final transmittance."""
    blended: int
    """One word a pixel: entries of the list before the one that stopped blending, else all."""
    limits: int
    """One word a tile: the depth behind which nothing can be seen; not needed afterwards."""
    size: int


@dataclass(frozen=True)
class Counters:
    """What a call counts with, zero at first: where each part begins, in words."""

    status: int
    """Pairs (two words), entries of the longest list, whether an input is not finite, and more."""
    so_far: int
    """Two words a block of reserve_lists."""
    ticket: int
    counts: int
    """One word a tile."""
    group_limits: int
    """One word a group of tiles."""
    cover: int
    """One word a tile and depth bucket."""
    size: int


@dataclass(frozen=True)
class Shape:
    """Sizes of one call."""

    scenes: int
    times: int
    gaussians: int
    degree: int
    height: int
    width: int

    @functools.cached_property
    def images(self) -> int:
        """Images of all scenes."""
        return self.scenes * self.times

    @functools.cached_property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.images * -(-self.width // TILE_SIZE) * -(-self.height // TILE_SIZE)

    @functools.cached_property
    def groups(self) -> int:
        """Groups of tiles of all images."""
        side = TILE_SIZE * GROUP
        return self.images * -(-self.width // side) * -(-self.height // side)

    @functools.cached_property
    def splats(self) -> int:
        """Gaussians in their images."""
        return self.images * self.gaussians

    @functools.cached_property
    def surfaces(self) -> int:
        """Surfaces of all scenes: one a Gaussian."""
        return self.scenes * self.gaussians

    @functools.cached_property
    def pixels(self) -> int:
        """Pixels of all images."""
        return self.images * self.height * self.width

    @functools.cached_property
    def buckets(self) -> int:
        """Depth buckets of a tile, a power of two, fewer where tiles are many; 0 for none."""
        buckets = _DEPTH_BUCKETS
        while buckets * self.tiles > _MAX_COVER:
            buckets //= 2
        return buckets if buckets >= 8 else 0

    @functools.cached_property
    def kept(self) -> Kept:
        """Where what a call keeps lies in memory; the structs come first, aligned to 16 bytes."""
        sizes = (4 * self.splats, 8 * self.surfaces, 2 * self.tiles, self.pixels, self.pixels)
        return Kept(*_ends((*sizes, self.tiles)))

    @functools.cached_property
    def counters(self) -> Counters:
        """Where a call's counters lie in memory; those of 8 bytes come first."""
        blocks = -(-self.tiles // RESERVE_BLOCK)
        sizes = (_STATUS_WORDS, 2 * blocks, 1, self.tiles, self.groups)
        return Counters(*_ends((*sizes, self.tiles * self.buckets)))

    def check(self) -> None:
        """Raise RuntimeError if the kernels cannot number what is in the call."""
        if self.images > _MAX_IMAGES or max(self.splats, self.tiles) > MAX_PAIRS:
            raise RuntimeError(
                f"rasterize: {self.images} images of {self.width}x{self.height} with "
                f"{self.gaussians} Gaussians each are too many for one call (at most "
                f"{_MAX_IMAGES} images and {MAX_PAIRS:,} Gaussians over all of them); render "
                "fewer times a call."
            )


def shape_of(
    motion: Float[Tensor, "b n k 3"],
    times: Float[Tensor, "b t"],
    image_size: tuple[int, int],
) -> Shape:
    """Return the sizes of a call."""
    scenes, gaussians, degree, _ = motion.shape
    sizes = (scenes, times.shape[1], gaussians, degree, *image_size)
    make = _known_shape if all(type(size) is int for size in sizes) else Shape
    return make(*sizes)


@functools.lru_cache(maxsize=64)
def _known_shape(
    scenes: int, times: int, gaussians: int, degree: int, height: int, width: int
) -> Shape:
    """Return the shape that was made before, with what it has worked out since."""
    return Shape(scenes, times, gaussians, degree, height, width)


def _ends(sizes: tuple[int, ...]) -> list[int]:
    """Return where each part begins, and where the last one ends."""
    return [0, *accumulate(sizes)]
