"""The stages of one call: project, list by tile, sort, blend, and their gradients.

Every function starts kernels and returns the tensors that they fill; only :func:`list_by_tile`
and :func:`count_pairs` may wait for the device. ``layout.py`` says what lies where in memory,
``splat.cuh`` what the structs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diff_gaussian_rasterization_orth.cuda.launch import Queue
from diff_gaussian_rasterization_orth.cuda.layout import (
    MAX_PAIRS,
    RESERVE_BLOCK,
    Shape,
    shape_of,
)

_BLOCK = 256
_BLEND_THREADS = 64
_SHORT_LIST = 1024
"""The longest list that a warp sorts; ``kShort`` of sort_lists.cu."""
_MIDDLE_LIST = 2 * _SHORT_LIST
"""The longest list that two warps sort; ``kMiddle`` of sort_lists.cu."""
_SHORT_LISTS_A_BLOCK = 2
_LONG_SORT_THREADS = 512


class Moving(NamedTuple):
    """What the projection reads, in the order of ``SceneInputs``; contiguous, float32."""

    means: Float[Tensor, "b n 3"]
    motion: Float[Tensor, "b n k 3"]
    scales: Float[Tensor, "b n 3"]
    quats: Float[Tensor, "b n 4"]
    colors: Float[Tensor, "b n 3"]
    opacities: Float[Tensor, "b n"]
    opacity_slopes: Float[Tensor, "b n"]
    opacity_half_lives: Float[Tensor, "b n"]
    anchor_times: Float[Tensor, "b n"]
    times: Float[Tensor, "b t"]

    def shape(self, image_size: tuple[int, int]) -> Shape:
        """Return the sizes of a call that renders these."""
        return shape_of(self.motion, self.times, image_size)


@dataclass(frozen=True)
class Scene:
    """What blending reads, and keeps for the gradients."""

    kept: Int[Tensor, " words"]
    """See :class:`~diff_gaussian_rasterization_orth.cuda.layout.Kept`."""
    sorted_splats: Int[Tensor, " pairs"]
    """The tiles' lists: Gaussians from near to far."""
    backgrounds: Float[Tensor, "b t 3"]
    """May be expanded; the last axis is contiguous."""


@dataclass(frozen=True)
class Counted:
    """Gaussians in their images, and how many of them each tile lists."""

    kept: Int[Tensor, " words"]
    counters: Int[Tensor, " words"]
    room: int
    """Most pairs of a tile and a Gaussian."""


class NotFiniteError(ValueError):
    """An input holds NaN or infinity."""


def count(
    queue: Queue,
    shape: Shape,
    moving: Moving,
    backgrounds: Float[Tensor, "b t 3"],
    max_pairs: int | None,
) -> Counted:
    """Project all Gaussians, find what hides what, and count what each tile will list."""
    at, keep = shape.counters, shape.kept
    counters = torch.zeros(at.size, dtype=torch.int32, device=queue.device)
    kept = torch.empty(keep.size, dtype=torch.int32, device=queue.device)
    zero, start = counters.data_ptr(), kept.data_ptr()
    splats, surfaces = start + 4 * keep.splats, start + 4 * keep.surfaces
    limits, group_limits = start + 4 * keep.limits, zero + 4 * at.group_limits
    cover, counts, status = zero + 4 * at.cover, zero + 4 * at.counts, zero + 4 * at.status
    room = MAX_PAIRS if max_pairs is None else max_pairs
    queue.launch(
        f"project_forward:{shape.degree}",
        "project_forward",
        (_blocks(shape.gaussians), shape.scenes),
        _BLOCK,
        (
            *(shape.gaussians, shape.times, shape.width, shape.height),
            *backgrounds.stride()[:2],
            shape.buckets,
            *map(_address, moving),
            *(backgrounds.data_ptr(), splats, surfaces, cover, status),
        ),
    )
    queue.launch(
        "tile_lists",
        "find_limits",
        (_blocks(shape.tiles), 1),
        _BLOCK,
        (
            shape.width,
            shape.height,
            shape.tiles,
            shape.buckets,
            cover,
            status,
            limits,
            group_limits,
        ),
    )
    queue.launch(
        "tile_lists",
        "count_pairs",
        (_blocks(shape.gaussians), shape.images),
        _BLOCK,
        (*_sizes(shape), splats, surfaces, limits, group_limits, counts),
    )
    ticket, so_far, lists = zero + 4 * at.ticket, zero + 4 * at.so_far, start + 4 * keep.lists
    queue.launch(
        "tile_lists",
        "reserve_lists",
        (_blocks(shape.tiles, RESERVE_BLOCK), 1),
        RESERVE_BLOCK,
        (shape.tiles, room, ticket, so_far, counts, lists, status),
    )
    return Counted(kept, counters, room)


def count_pairs(queue: Queue, moving: Moving, image_size: tuple[int, int]) -> int:
    """Return how many pairs of a tile and a Gaussian the images hold; waits for the device."""
    shape = moving.shape(image_size)
    shape.check()
    backgrounds = moving.times.new_zeros(1, 1, 3).expand(shape.scenes, shape.times, 3)
    return _read(count(queue, shape, moving, backgrounds, None), shape)[0]


def list_by_tile(
    queue: Queue, shape: Shape, counted: Counted, max_pairs: int | None
) -> Int[Tensor, " pairs"]:
    """List, for every tile, the Gaussians that may be seen in it, from near to far.

    With ``max_pairs`` nothing waits for the device, and blending turns the images into NaN where
    that is too few or an input is not finite.

    Raises:
        NotFiniteError: If an input is not finite and ``max_pairs`` is None.
        RuntimeError: If there are more pairs of a tile and a Gaussian than 2**31 - 1.
    """
    if max_pairs is None:
        pairs, longest = _read(counted, shape)
    else:
        pairs, longest = max_pairs, _MIDDLE_LIST + 1
    unsorted = torch.empty(pairs, dtype=torch.int64, device=queue.device)
    # What is left of a room that is too large is zero rather than whatever was there.
    make = torch.empty if max_pairs is None else torch.zeros
    sorted_splats = make(pairs, dtype=torch.int32, device=queue.device)
    if pairs == 0:
        return sorted_splats
    at, keep = shape.counters, shape.kept
    zero, start = counted.counters.data_ptr(), counted.kept.data_ptr()
    queue.launch(
        "tile_lists",
        "emit_pairs",
        (_blocks(shape.gaussians), shape.images),
        _BLOCK,
        (
            *_sizes(shape),
            *(start + 4 * part for part in (keep.splats, keep.surfaces, keep.limits)),
            *(zero + 4 * part for part in (at.group_limits, at.counts)),
            unsorted.data_ptr(),
        ),
    )
    lists = start + 4 * keep.lists
    queue.launch(
        "sort_lists",
        "sort_short_lists",
        (_blocks(shape.tiles, _SHORT_LISTS_A_BLOCK), 1),
        32 * _SHORT_LISTS_A_BLOCK,
        (shape.tiles, lists, unsorted.data_ptr(), sorted_splats.data_ptr()),
    )
    if longest > _SHORT_LIST:
        queue.launch(
            "sort_lists",
            "sort_middle_lists",
            (shape.tiles, 1),
            64,
            (lists, unsorted.data_ptr(), sorted_splats.data_ptr()),
        )
    if longest > _MIDDLE_LIST:
        spare = torch.empty_like(unsorted)
        queue.launch(
            "sort_lists",
            "sort_long_lists",
            (shape.tiles, 1),
            _LONG_SORT_THREADS,
            (lists, unsorted.data_ptr(), spare.data_ptr(), sorted_splats.data_ptr()),
        )
    return sorted_splats


def _read(counted: Counted, shape: Shape) -> tuple[int, int]:
    """Wait for the device; return the pairs and the entries of the longest list."""
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "rasterize: a CUDA graph cannot wait for the number of pairs of a tile and a Gaussian; "
            "give room for them with max_pairs, for example 1.5 times pairs_needed(...)."
        )
    first = shape.counters.status
    low, high, longest, not_finite = counted.counters[first : first + 4].tolist()
    if not_finite:
        raise NotFiniteError
    pairs = (high << 32) | (low & 0xFFFFFFFF)
    if pairs > MAX_PAIRS:
        raise RuntimeError(
            f"rasterize: {shape.images} images of {shape.width}x{shape.height} hold {pairs:,} "
            f"pairs of a tile and a Gaussian, more than the {MAX_PAIRS:,} of one call; render "
            "fewer scenes or times a call, or smaller Gaussians."
        )
    return pairs, longest


def blend(
    queue: Queue, shape: Shape, scene: Scene, counted: Counted
) -> tuple[Float[Tensor, "b t 3 h w"], Float[Tensor, "b t 1 h w"], Float[Tensor, "b t 1 h w"]]:
    """Return rgb, depth and alpha; what their gradients need besides goes to the kept memory."""
    size, area = (shape.scenes, shape.times), (shape.height, shape.width)
    rgb = torch.empty((*size, 3, *area), device=queue.device)
    depth = torch.empty((*size, 1, *area), device=queue.device)
    alpha = torch.empty((*size, 1, *area), device=queue.device)
    keep, start = shape.kept, counted.kept.data_ptr()
    queue.launch(
        "blend_forward",
        "blend_forward",
        (shape.tiles, 1),
        _BLEND_THREADS,
        (
            *_sizes(shape),
            *scene.backgrounds.stride()[:2],
            counted.room,
            *_blended(shape, scene),
            counted.counters.data_ptr() + 4 * shape.counters.status,
            *(rgb.data_ptr(), depth.data_ptr(), alpha.data_ptr()),
            *(start + 4 * keep.transmittances, start + 4 * keep.blended),
        ),
    )
    return rgb, depth, alpha


class Sums(NamedTuple):
    """The sums over pixels that blend_backward.cu describes."""

    splats: int
    """Address of four words a Gaussian and image."""
    surfaces: int
    """Address of eight words a surface."""
    memory: Float[Tensor, " words"]


def blend_backward(
    queue: Queue,
    shape: Shape,
    scene: Scene,
    v_images: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> Sums:
    """Return the sums from which the gradients are made.

    Args:
        queue: Where to run.
        shape: Sizes.
        scene: As blended.
        v_images: Gradients of rgb, depth and alpha, contiguous; None counts as zero.
    """
    memory = torch.zeros(4 * shape.splats + 8 * shape.surfaces, device=queue.device)
    start, keep = scene.kept.data_ptr(), shape.kept
    sums = Sums(memory.data_ptr(), memory.data_ptr() + 16 * shape.splats, memory)
    queue.launch(
        "blend_backward",
        "blend_backward",
        (shape.tiles if shape.gaussians else 0, 1),
        _BLEND_THREADS,
        (
            *_sizes(shape),
            *scene.backgrounds.stride()[:2],
            *_blended(shape, scene),
            *(start + 4 * keep.transmittances, start + 4 * keep.blended),
            *map(_address, v_images),
            *sums[:2],
        ),
    )
    return sums


def project_backward(
    queue: Queue,
    shape: Shape,
    moving: tuple[Tensor, ...],
    scene: Scene,
    sums: Sums,
    v_inputs: tuple[Tensor | None, ...],
) -> None:
    """Fill the gradients of means, motion, …, anchor times and times, in the inputs' order.

    Args:
        queue: Where to run.
        shape: Sizes.
        moving: Motion, scales, quats, opacities, slopes, half-lives, anchors, times.
        scene: As blended.
        sums: What :func:`blend_backward` returned.
        v_inputs: Where to write; the gradient of times is zeroed, or None where not needed.
    """
    start, keep = scene.kept.data_ptr(), shape.kept
    queue.launch(
        f"project_backward:{shape.degree}",
        "project_backward",
        (_blocks(shape.gaussians), shape.scenes),
        _BLOCK,
        (
            *(shape.gaussians, shape.times, shape.width, shape.height),
            *map(_address, moving),
            *(start + 4 * keep.splats, start + 4 * keep.surfaces),
            *sums[:2],
            *map(_address, v_inputs),
        ),
    )


def transmittances(shape: Shape, kept: Int[Tensor, " words"]) -> Float[Tensor, "b t h w"]:
    """Return the final transmittance of every pixel, by which the background is weighted."""
    first = shape.kept.transmittances
    size = (shape.scenes, shape.times, shape.height, shape.width)
    return kept[first : first + shape.pixels].view(torch.float32).view(size)


def _blended(shape: Shape, scene: Scene) -> tuple[int, ...]:
    start, keep = scene.kept.data_ptr(), shape.kept
    return (
        start + 4 * keep.splats,
        start + 4 * keep.surfaces,
        start + 4 * keep.lists,
        scene.sorted_splats.data_ptr(),
        scene.backgrounds.data_ptr(),
    )


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _sizes(shape: Shape) -> tuple[int, int, int, int]:
    """First arguments of the kernels that work on images."""
    return shape.times, shape.gaussians, shape.width, shape.height


def _blocks(threads: int, block: int = _BLOCK) -> int:
    return -(-threads // block)
