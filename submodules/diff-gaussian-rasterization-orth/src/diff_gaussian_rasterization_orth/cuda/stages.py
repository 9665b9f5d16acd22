"""The stages of one call: project, list by tile, sort, blend, and their gradients.

Every function starts kernels and returns the tensors that they fill; only :func:`list_by_tile`
and :func:`count_pairs` may wait for the device. The structs behind the last axes are in ``splat.cuh``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diff_gaussian_rasterization_orth.cuda.launch import Queue

TILE_SIZE = 16
_BLOCK = 256
_BLEND_THREADS = 64
_SORT_THREADS = 128
_LONG_SORT_THREADS = 512
_LONG_LIST = 2048
"""Entries from which on a list is sorted in pieces; ``kChunk`` of sort_lists.cu."""
_MAX_PAIRS = 2**31 - 1
_MAX_IMAGES = 65535
_DEPTH_BUCKETS = 128
_MAX_COVER = 2**24
"""Most depth buckets over all tiles, 64 MiB."""


@dataclass(frozen=True)
class Shape:
    """Sizes of one call."""

    scenes: int
    times: int
    gaussians: int
    degree: int
    height: int
    width: int
    rotating: bool

    @property
    def images(self) -> int:
        """Images of all scenes."""
        return self.scenes * self.times

    @property
    def tiles(self) -> int:
        """Tiles of an image."""
        return -(-self.width // TILE_SIZE) * -(-self.height // TILE_SIZE)

    @property
    def surfaces(self) -> int:
        """Surfaces of a Gaussian: one for each time if it rotates."""
        return self.times if self.rotating else 1

    @property
    def buckets(self) -> int:
        """Depth buckets of a tile, a power of two, fewer where tiles are many; 0 for none."""
        buckets = _DEPTH_BUCKETS
        while buckets * self.images * self.tiles > _MAX_COVER:
            buckets //= 2
        return buckets if buckets >= 8 else 0

    def check(self) -> None:
        """Raise RuntimeError if the kernels cannot number what is in the call."""
        largest = max(self.images * self.gaussians, self.images * self.tiles)
        if self.images > _MAX_IMAGES or largest > _MAX_PAIRS:
            raise RuntimeError(
                f"rasterize: {self.images} images of {self.width}x{self.height} with "
                f"{self.gaussians} Gaussians each are too many for one call (at most "
                f"{_MAX_IMAGES} images and {_MAX_PAIRS:,} Gaussians over all of them); render "
                "fewer times a call."
            )


def shape_of(
    motion: Float[Tensor, "b n k 3"],
    times: Float[Tensor, "b t"],
    quat_rates: Float[Tensor, "b n 4"] | None,
    image_size: tuple[int, int],
) -> Shape:
    """Return the sizes of a call."""
    scenes, gaussians, degree, _ = motion.shape
    return Shape(scenes, times.shape[1], gaussians, degree, *image_size, quat_rates is not None)


@dataclass(frozen=True)
class Moving:
    """What the projection reads; contiguous, float32."""

    means: Float[Tensor, "b n 3"]
    motion: Float[Tensor, "b n k 3"]
    scales: Float[Tensor, "b n 3"]
    quats: Float[Tensor, "b n 4"]
    quat_rates: Float[Tensor, "b n 4"] | None
    colors: Float[Tensor, "b n 3"]
    opacities: Float[Tensor, "b n"]
    opacity_slopes: Float[Tensor, "b n"]
    opacity_half_lives: Float[Tensor, "b n"]
    anchor_times: Float[Tensor, "b n"]
    times: Float[Tensor, "b t"]

    def shape(self, image_size: tuple[int, int]) -> Shape:
        """Return the sizes of a call that renders these."""
        return shape_of(self.motion, self.times, self.quat_rates, image_size)

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Return all of them, in order."""
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class Scene:
    """What blending reads."""

    splats: Float[Tensor, "b t n 4"]
    surfaces: Float[Tensor, "b s n 8"]
    lists: Int[Tensor, "b t tiles 2"]
    """Where each tile's list begins and ends."""
    sorted_splats: Int[Tensor, " pairs"]
    """The lists: Gaussians from near to far."""
    backgrounds: Float[Tensor, "b t 3"]
    """May be expanded; the last axis is contiguous."""


@dataclass(frozen=True)
class Status:
    """What the device knows of a call, and how many pairs there is room for."""

    counters: Int[Tensor, " 4"]
    """Pairs (64 bits), entries of the longest list, whether an input is not finite."""
    room: int


class NotFiniteError(ValueError):
    """An input holds NaN or infinity."""


@dataclass(frozen=True)
class _Counted:
    """Gaussians in their images, and how many of them each tile will list."""

    splats: Float[Tensor, "b t n 4"]
    surfaces: Float[Tensor, "b s n 8"]
    limits: Float[Tensor, " all_tiles"]
    """Depth behind which nothing of a tile can be seen."""
    counts: Int[Tensor, " all_tiles"]
    counters: Int[Tensor, " 4"]


def list_by_tile(
    queue: Queue,
    shape: Shape,
    moving: Moving,
    backgrounds: Float[Tensor, "b t 3"],
    max_pairs: int | None,
) -> tuple[Scene, Status]:
    """Project all Gaussians and list, for every tile, those that may be seen in it.

    With ``max_pairs`` nothing waits for the device, and blending turns the images into NaN where
    that is too few or an input is not finite.

    Raises:
        NotFiniteError: If an input is not finite and ``max_pairs`` is None.
        RuntimeError: If there are more pairs of a tile and a Gaussian than 2**31 - 1.
    """
    counted = _count(queue, shape, moving, backgrounds)
    status = Status(counted.counters, _MAX_PAIRS if max_pairs is None else max_pairs)
    lists = _reserve(queue, shape, counted, status.room)
    if max_pairs is None:
        pairs, longest = _read(counted.counters, shape)
    else:
        pairs, longest = max_pairs, _LONG_LIST + 1
    unsorted = torch.empty(pairs, dtype=torch.int64, device=queue.device)
    # What is left of a room that is too large is zero rather than whatever was there.
    make = torch.empty if max_pairs is None else torch.zeros
    sorted_splats = make(pairs, dtype=torch.int32, device=queue.device)
    if pairs > 0:
        queue.launch(
            "tile_lists",
            "emit_pairs",
            (_blocks(shape.gaussians), shape.images),
            _BLOCK,
            *_sizes(shape),
            counted.splats,
            counted.surfaces,
            counted.limits,
            counted.counts,
            unsorted,
        )
        _sort(queue, shape, lists, unsorted, sorted_splats, longest)
    return Scene(counted.splats, counted.surfaces, lists, sorted_splats, backgrounds), status


def count_pairs(queue: Queue, moving: Moving, image_size: tuple[int, int]) -> int:
    """Return how many pairs of a tile and a Gaussian the images hold; waits for the device."""
    shape = moving.shape(image_size)
    shape.check()
    backgrounds = moving.times.new_zeros(1, 1, 3).expand(shape.scenes, shape.times, 3)
    counted = _count(queue, shape, moving, backgrounds)
    _reserve(queue, shape, counted, _MAX_PAIRS)
    return _read(counted.counters, shape)[0]


def _count(
    queue: Queue, shape: Shape, moving: Moving, backgrounds: Float[Tensor, "b t 3"]
) -> _Counted:
    """Project all Gaussians, find what hides what, and count what is left."""
    device, tiles = queue.device, shape.images * shape.tiles
    zeros = torch.zeros(4 + tiles * (1 + shape.buckets), dtype=torch.int32, device=device)
    counters, counts, cover = zeros[:4], zeros[4 : 4 + tiles], zeros[4 + tiles :]
    splats, surfaces = _project(queue, shape, moving, backgrounds, cover, counters)
    limits = torch.empty(tiles, device=device)
    queue.launch(
        "tile_lists",
        "find_limits",
        (_blocks(tiles), 1),
        _BLOCK,
        shape.tiles,
        tiles,
        shape.buckets,
        cover,
        limits,
    )
    queue.launch(
        "tile_lists",
        "count_pairs",
        (_blocks(shape.gaussians), shape.images),
        _BLOCK,
        *_sizes(shape),
        splats,
        surfaces,
        limits,
        counts,
    )
    return _Counted(splats, surfaces, limits, counts, counters)


def _reserve(
    queue: Queue, shape: Shape, counted: _Counted, room: int
) -> Int[Tensor, "b t tiles 2"]:
    """Return where each tile's list begins and ends; the counts become cursors."""
    tiles = shape.images * shape.tiles
    lists = torch.empty(
        (shape.scenes, shape.times, shape.tiles, 2), dtype=torch.int32, device=queue.device
    )
    sums = torch.empty(_blocks(tiles), dtype=torch.int64, device=queue.device)
    queue.launch(
        "tile_lists",
        "sum_counts",
        (_blocks(tiles), 1),
        _BLOCK,
        tiles,
        counted.counts,
        sums,
        counted.counters,
    )
    queue.launch(
        "tile_lists",
        "reserve_lists",
        (_blocks(tiles), 1),
        _BLOCK,
        tiles,
        room,
        sums,
        counted.counts,
        lists,
        counted.counters,
    )
    return lists


def _project(
    queue: Queue,
    shape: Shape,
    moving: Moving,
    backgrounds: Float[Tensor, "b t 3"],
    cover: Int[Tensor, " buckets*all_tiles"],
    counters: Int[Tensor, " 4"],
) -> tuple[Float[Tensor, "b t n 4"], Float[Tensor, "b s n 8"]]:
    size = (shape.scenes, shape.times, shape.gaussians, 4)
    splats = torch.empty(size, device=queue.device)
    surfaces = torch.empty(
        (shape.scenes, shape.surfaces, shape.gaussians, 8), device=queue.device
    )
    queue.launch(
        f"project_forward:{shape.degree}",
        "project_forward",
        (_blocks(shape.gaussians), shape.scenes if shape.times else 0),
        _BLOCK,
        shape.gaussians,
        shape.times,
        shape.width,
        shape.height,
        *backgrounds.stride()[:2],
        shape.buckets,
        *moving.tensors(),
        _address(backgrounds),
        splats,
        surfaces,
        cover,
        counters,
    )
    return splats, surfaces


def _read(counters: Int[Tensor, " 4"], shape: Shape) -> tuple[int, int]:
    """Wait for the device; return the pairs and the entries of the longest list."""
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "rasterize: a CUDA graph cannot wait for the number of pairs of a tile and a Gaussian; "
            "give room for them with max_pairs, for example 1.5 times pairs_needed(...)."
        )
    low, high, longest, not_finite = counters.tolist()
    if not_finite:
        raise NotFiniteError
    pairs = (high << 32) | (low & 0xFFFFFFFF)
    if pairs > _MAX_PAIRS:
        raise RuntimeError(
            f"rasterize: {shape.images} images of {shape.width}x{shape.height} hold {pairs:,} "
            f"pairs of a tile and a Gaussian, more than the {_MAX_PAIRS:,} of one call; render "
            "fewer scenes or times a call, or smaller Gaussians."
        )
    return pairs, longest


def _sort(
    queue: Queue,
    shape: Shape,
    lists: Int[Tensor, "b t tiles 2"],
    unsorted: Int[Tensor, " pairs"],
    sorted_splats: Int[Tensor, " pairs"],
    longest: int,
) -> None:
    grid = (shape.images * shape.tiles, 1)
    queue.launch(
        "sort_lists", "sort_short_lists", grid, _SORT_THREADS, lists, unsorted, sorted_splats
    )
    if longest > _LONG_LIST:
        queue.launch(
            "sort_lists",
            "sort_long_lists",
            grid,
            _LONG_SORT_THREADS,
            lists,
            unsorted,
            torch.empty_like(unsorted),
            sorted_splats,
        )


def blend(
    queue: Queue, shape: Shape, scene: Scene, status: Status
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return rgb, depth, alpha, and per pixel the transmittance and how far its list was used."""
    device = queue.device
    size, area = (shape.scenes, shape.times), (shape.height, shape.width)
    images = (
        torch.empty((*size, 3, *area), device=device),
        torch.empty((*size, 1, *area), device=device),
        torch.empty((*size, 1, *area), device=device),
        torch.empty((*size, *area), device=device),
        torch.empty((*size, *area), device=device, dtype=torch.int32),
    )
    queue.launch(
        "blend_forward",
        "blend_forward",
        (shape.images * shape.tiles, 1),
        _BLEND_THREADS,
        *_sizes(shape),
        *scene.backgrounds.stride()[:2],
        status.room,
        *_blended(scene),
        status.counters,
        *images,
    )
    return images


def blend_backward(
    queue: Queue,
    shape: Shape,
    scene: Scene,
    kept: tuple[Tensor, Tensor],
    v_images: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> tuple[Float[Tensor, "b t n 4"], Float[Tensor, "b s n 8"]]:
    """Return the sums per splat and per surface that blend_backward.cu describes.

    Args:
        queue: Where to run.
        shape: Sizes.
        scene: As blended.
        kept: Transmittances, and how far each pixel's list was used.
        v_images: Gradients of rgb, depth and alpha; None counts as zero.
    """
    splats, surfaces = scene.splats.numel(), scene.surfaces.numel()
    memory = torch.zeros(splats + surfaces, device=queue.device)
    splat_sums = memory[:splats].view(scene.splats.shape)
    surface_sums = memory[splats:].view(scene.surfaces.shape)
    queue.launch(
        "blend_backward",
        "blend_backward",
        (shape.images * shape.tiles if shape.gaussians else 0, 1),
        _BLEND_THREADS,
        *_sizes(shape),
        *scene.backgrounds.stride()[:2],
        *_blended(scene),
        *kept,
        *v_images,
        splat_sums,
        surface_sums,
    )
    return splat_sums, surface_sums


def project_backward(
    queue: Queue,
    shape: Shape,
    moving: tuple[Tensor | None, ...],
    scene: Scene,
    sums: tuple[Float[Tensor, "b t n 4"], Float[Tensor, "b s n 8"]],
    v_inputs: tuple[Tensor | None, ...],
) -> None:
    """Fill the gradients of means, motion, …, anchor times and times, in the inputs' order.

    Args:
        queue: Where to run.
        shape: Sizes.
        moving: Motion, scales, quats, quat_rates, opacities, slopes, half-lives, anchors, times.
        scene: As blended.
        sums: What :func:`blend_backward` returned.
        v_inputs: Where to write; the gradient of times is zeroed, or None where nobody asks.
    """
    queue.launch(
        f"project_backward:{shape.degree}",
        "project_backward",
        (_blocks(shape.gaussians), shape.scenes),
        _BLOCK,
        shape.gaussians,
        shape.times,
        shape.width,
        shape.height,
        *moving,
        scene.splats,
        scene.surfaces,
        *sums,
        *v_inputs,
    )


def _blended(scene: Scene) -> tuple[Tensor, ...]:
    return (
        scene.splats,
        scene.surfaces,
        scene.lists,
        scene.sorted_splats,
        _address(scene.backgrounds),
    )


def _address(backgrounds: Float[Tensor, "b t 3"]) -> Tensor:
    """Return a contiguous tensor at the same address, whatever the strides."""
    return backgrounds.as_strided((1,), (1,)) if backgrounds.numel() else backgrounds


def _sizes(shape: Shape) -> tuple[int, int, int, int, int]:
    """First arguments of the kernels that work on images."""
    return shape.times, shape.gaussians, int(shape.rotating), shape.width, shape.height


def _blocks(threads: int) -> int:
    return -(-threads // _BLOCK)
