"""All images of a batch: kernels, their memory and their threads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diff_gaussian_rasterization_orth.cpu.blending import blend_band
from diff_gaussian_rasterization_orth.cpu.blending_backward import NUM_MOMENTS, blend_band_backward
from diff_gaussian_rasterization_orth.cpu.projection import SPLAT_SIZE, project, project_backward
from diff_gaussian_rasterization_orth.cpu.sorting import (
    list_bands,
    order_by_depth,
    places_of_members,
)
from diff_gaussian_rasterization_orth.cpu.threads import num_threads, parallel_for
from diff_gaussian_rasterization_orth.cpu.tiles import TILE_HEIGHT

Float32 = NDArray[np.float32]

_CHUNK = 4096
"""Gaussians that one task projects; no sum depends on how many threads share the tasks."""


class Scenes(NamedTuple):
    """The tensors of ``SceneInputs``, in its order, C-contiguous."""

    means: Float32  # (b, n, 3)
    motion: Float32  # (b, n, k, 3)
    scales: Float32  # (b, n, 3)
    quats: Float32  # (b, n, 4)
    colors: Float32  # (b, n, 3)
    opacities: Float32  # (b, n)
    slopes: Float32  # (b, n)
    half_lives: Float32  # (b, n)
    anchors: Float32  # (b, n)
    times: Float32  # (b, t)


class Images(NamedTuple):
    """Rendered images, or their gradients."""

    rgb: Float32  # (b, t, 3, h, w)
    depth: Float32  # (b, t, 1, h, w)
    alpha: Float32  # (b, t, 1, h, w)


class SortedSplats(NamedTuple):
    """One scene at one time, between projection and blending."""

    members: NDArray[np.int32]  # (m,), each band's Gaussians from near to far, band by band
    bands: NDArray[np.int64]  # (bands + 1,), where in members each band begins
    boxes: NDArray[np.int32]  # (n, 4)
    splats: Float32  # (n, SPLAT_SIZE)


def render(
    scenes: Scenes, image_size: tuple[int, int], backgrounds: Float32, *, keep: bool
) -> tuple[Images, list[SortedSplats]]:
    """Render every scene at all its times.

    Args:
        scenes: What to render.
        image_size: Height and width in pixels.
        backgrounds: (b, t, 3).
        keep: Whether a backward pass will follow, which needs what is returned beside the images;
            otherwise only as many images are in memory as there are threads.
    """
    num_scenes, num_times = scenes.times.shape
    images = Images(
        *(np.empty((num_scenes, num_times, c, *image_size), np.float32) for c in (3, 1, 1))
    )
    indices = list(np.ndindex(num_scenes, num_times))
    group_size = max(1, len(indices) if keep else num_threads())
    kept: list[SortedSplats] = []
    for start in range(0, len(indices), group_size):
        group = indices[start : start + group_size]
        sorted_splats = _project_and_sort(scenes, group, image_size)
        _blend(group, sorted_splats, backgrounds, images)
        if keep:
            kept += sorted_splats
    return images, kept


def _project_and_sort(
    scenes: Scenes, group: list[tuple[int, ...]], image_size: tuple[int, int]
) -> list[SortedSplats]:
    n = scenes.means.shape[1]
    splats = np.empty((len(group), n, SPLAT_SIZE), np.float32)
    boxes = np.empty((len(group), n, 4), np.int32)
    depths = np.empty((len(group), n), np.float32)
    visible = np.empty((len(group), n), np.bool_)
    chunks = -(-n // _CHUNK)

    def project_chunk(task: int) -> None:
        i, chunk = divmod(task, chunks)
        scene, time = group[i]
        project(
            chunk * _CHUNK,
            min(n, (chunk + 1) * _CHUNK),
            scenes.times[scene, time],
            *image_size,
            *(value[scene] for value in scenes[:-1]),
            splats[i],
            boxes[i],
            depths[i],
            visible[i],
        )

    bands = np.empty((len(group), -(-image_size[0] // TILE_HEIGHT) + 1), np.int64)
    members: list[Any] = [None] * len(group)

    def sort(i: int) -> None:
        order = order_by_depth(depths[i], visible[i])
        members[i] = list_bands(order, boxes[i], bands[i])

    parallel_for(len(group) * chunks, project_chunk)
    parallel_for(len(group), sort)
    return [SortedSplats(*parts) for parts in zip(members, bands, boxes, splats, strict=True)]


def _blend(
    group: list[tuple[int, ...]],
    sorted_splats: list[SortedSplats],
    backgrounds: Float32,
    images: Images,
) -> None:
    bands = -(-images.depth.shape[-2] // TILE_HEIGHT)

    def blend(task: int) -> None:
        i, band = divmod(task, bands)
        scene, time = group[i]
        members, starts, boxes, splats = sorted_splats[i]
        blend_band(
            band,
            members[starts[band] : starts[band + 1]],
            boxes,
            splats,
            backgrounds[scene, time],
            images.rgb[scene, time],
            images.depth[scene, time, 0],
            images.alpha[scene, time, 0],
        )

    parallel_for(len(group) * bands, blend)


def render_backward(
    scenes: Scenes, sorted_splats: list[SortedSplats], images: Images, v_images: Images
) -> Scenes:
    """Return the gradients of the scenes, given those of the images.

    Args:
        scenes: What was rendered.
        sorted_splats: What :func:`render` kept.
        images: What it rendered.
        v_images: Gradients of the images.
    """
    v_scenes = Scenes(*(np.zeros_like(value) for value in scenes))
    num_times = scenes.times.shape[1]
    for scene in range(len(scenes.times)):
        _render_scene_backward(
            Scenes(*(value[scene] for value in scenes)),
            sorted_splats[scene * num_times : (scene + 1) * num_times],
            Images(*(image[scene] for image in images)),
            Images(*(v_image[scene] for v_image in v_images)),
            Scenes(*(value[scene] for value in v_scenes)),
        )
    return v_scenes


def _render_scene_backward(
    scene: Scenes,
    sorted_splats: list[SortedSplats],
    images: Images,
    v_images: Images,
    v_scene: Scenes,
) -> None:
    """Add one scene's gradients; ``scene`` and the images lack the axis ``b``."""
    n, num_times = len(scene.means), len(scene.times)
    height, width = images.depth.shape[-2:]
    firsts = np.cumsum([0, *(len(image.members) for image in sorted_splats)])
    moments = np.zeros((firsts[-1], NUM_MOMENTS), np.float32)
    starts = np.empty((num_times, n + 1), np.int64)
    places = np.empty(firsts[-1], np.int64)
    _blend_scene_backward(sorted_splats, firsts, images, v_images, moments)

    def find_places(t: int) -> None:
        mine = places[firsts[t] : firsts[t + 1]]
        places_of_members(sorted_splats[t].members, starts[t], mine)
        starts[t] += firsts[t]
        mine += firsts[t]

    parallel_for(num_times, find_places)
    chunks = -(-n // _CHUNK)
    v_times = np.zeros((chunks, num_times), np.float64)
    without_colors = (*scene[:4], *scene[5:9])

    def project_chunk_backward(chunk: int) -> None:
        project_backward(
            chunk * _CHUNK,
            min(n, (chunk + 1) * _CHUNK),
            scene.times,
            height,
            width,
            *without_colors,
            moments,
            starts,
            places,
            *v_scene[:-1],
            v_times[chunk],
        )

    parallel_for(chunks, project_chunk_backward)
    v_scene.times[:] = v_times.sum(axis=0)


def _blend_scene_backward(
    sorted_splats: list[SortedSplats],
    firsts: NDArray[np.int64],
    images: Images,
    v_images: Images,
    moments: Float32,
) -> None:
    """Write the moments of every member of every band; those of image ``t`` at ``firsts[t]``."""
    bands = -(-images.depth.shape[-2] // TILE_HEIGHT)

    def blend_backward(task: int) -> None:
        t, band = divmod(task, bands)
        members, starts, boxes, splats = sorted_splats[t]
        begin, end = starts[band], starts[band + 1]
        blend_band_backward(
            band,
            members[begin:end],
            boxes,
            splats,
            *(image[t] for image in (images.rgb, images.depth[:, 0], images.alpha[:, 0])),
            *(image[t] for image in (v_images.rgb, v_images.depth[:, 0], v_images.alpha[:, 0])),
            moments[firsts[t] + begin : firsts[t] + end],
        )

    parallel_for(len(sorted_splats) * bands, blend_backward)
