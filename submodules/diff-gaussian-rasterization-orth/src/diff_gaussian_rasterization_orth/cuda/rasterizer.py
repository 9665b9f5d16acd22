"""The stages of one call: project, assign to tiles, blend, and their gradients."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from diff_gaussian_rasterization_orth.cuda.launch import launch
from diff_gaussian_rasterization_orth.inputs import SceneInputs
from diff_gaussian_rasterization_orth.outputs import Rasterization

_TILE_SIZE = 16
_BLOCK = 256
_SUMS = 10
"""Gradients per Gaussian and image that leave the blending kernel; see blend_backward.cu."""
_MAX_PAIRS = 2**31 - 1
_MAX_GRID = 65535


@dataclass(frozen=True)
class _Shape:
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
        return self.scenes * self.times

    @property
    def tiles(self) -> tuple[int, int]:
        """Tiles along x and y."""
        return -(-self.width // _TILE_SIZE), -(-self.height // _TILE_SIZE)


def rasterize(
    inputs: SceneInputs, image_size: tuple[int, int], backgrounds: Float[Tensor, "b t 3"]
) -> Rasterization:
    """Render all scenes at all their times on the GPU; computes in float32 whatever the dtype.

    Raises:
        ValueError: If the tensors are not on a CUDA device.
        RuntimeError: If the images are too many, or too full of Gaussians, for one call.
    """
    if inputs.means.device.type != "cuda":
        raise ValueError(
            f"rasterize: the cuda backend got tensors on {inputs.means.device}; move them with "
            '.cuda(), or use backend="cpu".'
        )
    tensors = (
        inputs.means,
        inputs.motion,
        inputs.scales,
        inputs.quats,
        inputs.quat_rates,
        inputs.colors,
        inputs.opacities,
        inputs.opacity_slopes,
        inputs.opacity_half_lives,
        inputs.anchor_times,
        inputs.times,
        backgrounds,
    )
    images = _Rasterize.apply(
        *(None if value is None else value.float().contiguous() for value in tensors), image_size
    )
    assert isinstance(images, tuple)
    return Rasterization(*(image.to(inputs.means.dtype) for image in images))


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, (height, width) = arguments
        means, motion, scales, quats, quat_rates, colors, *rest = tensors
        *fades, times, backgrounds = rest
        shape = _Shape(
            scenes=means.shape[0],
            times=times.shape[1],
            gaussians=means.shape[1],
            degree=motion.shape[2],
            height=height,
            width=width,
            rotating=quat_rates is not None,
        )
        with torch.cuda.device(means.device):
            projected = _project(shape, (means, motion, scales, quats, quat_rates, *fades, times))
            lists = _assign_to_tiles(shape, projected)
            scene = (projected.splats, projected.footprints, colors, backgrounds, *lists)
            images, kept = _blend(shape, scene)
        ctx.shape = shape
        ctx.save_for_backward(motion, scales, quats, quat_rates, *fades, times, *scene, *kept)
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_images: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shape, saved = ctx.shape, ctx.saved_tensors
        moving, scene, kept = saved[:9], saved[9:15], saved[15:]
        v_rgb, v_depth, v_alpha = (v.contiguous() for v in v_images)
        with torch.cuda.device(v_rgb.device):
            v_splats = _blend_backward(shape, scene, kept, (v_rgb, v_depth, v_alpha))
            v_inputs = _project_backward(
                shape, moving, scene[0], v_splats, needs_times=ctx.needs_input_grad[10]
            )
            v_backgrounds = None
            if ctx.needs_input_grad[11]:
                v_backgrounds = (v_rgb * kept[0][:, :, None]).sum((-2, -1))
        return (*v_inputs, v_backgrounds, None)


@dataclass(frozen=True)
class _Projected:
    """What project_forward.cu writes; the structs are those of footprint.cuh."""

    splats: Float[Tensor, "b t n 4"]
    footprints: Float[Tensor, "b s n 4"]
    rects: Int[Tensor, "b t n 4"]
    tile_counts: Int[Tensor, "b t n"]
    depth_keys: Int[Tensor, "b t n"]


def _project(shape: _Shape, inputs: tuple[Tensor | None, ...]) -> _Projected:
    device = _device(inputs)
    size = (shape.scenes, shape.times, shape.gaussians)
    spins = shape.times if shape.rotating else 1
    projected = _Projected(
        splats=torch.empty((*size, 4), device=device),
        footprints=torch.empty((shape.scenes, spins, shape.gaussians, 4), device=device),
        rects=torch.empty((*size, 4), device=device, dtype=torch.int16),
        tile_counts=torch.empty(size, device=device, dtype=torch.int32),
        depth_keys=torch.empty(size, device=device, dtype=torch.int64),
    )
    if shape.times == 0:
        return projected
    launch(
        "project_forward",
        "project_forward",
        (_blocks(shape.gaussians), shape.scenes, 1),
        _BLOCK,
        (
            shape.gaussians,
            shape.times,
            shape.width,
            shape.height,
            *inputs,
            projected.splats,
            projected.footprints,
            projected.rects,
            projected.tile_counts,
            projected.depth_keys,
        ),
        device=device,
        degree=shape.degree,
    )
    return projected


def _assign_to_tiles(shape: _Shape, projected: _Projected) -> tuple[Tensor, Tensor]:
    """Return where each tile's list begins and ends, (images, tiles, 2), and the lists."""
    device = projected.splats.device
    tiles = shape.tiles[0] * shape.tiles[1]
    tile_lists = torch.zeros((shape.images, tiles, 2), device=device, dtype=torch.int32)
    total = projected.tile_counts.numel()
    if total == 0:
        return tile_lists, torch.empty(0, device=device, dtype=torch.int32)
    _check_size(shape, total, tiles)

    depth_order = torch.sort(projected.depth_keys.view(-1), stable=True).indices
    pair_ends = torch.cumsum(projected.tile_counts.view(-1)[depth_order], 0)
    pairs = int(pair_ends[-1])  # the only wait for the device
    if pairs > _MAX_PAIRS:
        raise RuntimeError(
            f"rasterize: {shape.images} images of {shape.width}x{shape.height} hold {pairs:,} "
            f"pairs of a tile and a Gaussian, more than the {_MAX_PAIRS:,} of one call; render "
            "fewer scenes or times a call, or smaller Gaussians."
        )
    sorted_splats = torch.empty(pairs, device=device, dtype=torch.int32)
    if pairs == 0:
        return tile_lists, sorted_splats

    bits = 16 if shape.images * tiles <= 2**16 else 32
    key_offset = 2**15 if bits == 16 else 0
    pair_tiles = torch.empty(pairs, device=device, dtype=torch.int16 if bits == 16 else torch.int32)
    pair_splats = torch.empty_like(sorted_splats)
    launch(
        "tile_assignment",
        f"emit_pairs_{bits}",
        (_blocks(total), 1, 1),
        _BLOCK,
        (
            ctypes.c_longlong(total),
            shape.times,
            shape.gaussians,
            int(shape.rotating),
            shape.width,
            shape.height,
            key_offset,
            projected.splats,
            projected.footprints,
            projected.rects,
            projected.tile_counts,
            depth_order,
            pair_ends,
            pair_tiles,
            pair_splats,
        ),
        device=device,
    )
    sorted_tiles, permutation = torch.sort(pair_tiles, stable=True)
    launch(
        "tile_assignment",
        f"find_tile_lists_{bits}",
        (_blocks(pairs), 1, 1),
        _BLOCK,
        (
            ctypes.c_longlong(pairs),
            key_offset,
            sorted_tiles,
            permutation,
            pair_splats,
            tile_lists,
            sorted_splats,
        ),
        device=device,
    )
    return tile_lists, sorted_splats


def _blend(
    shape: _Shape, scene: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return rgb, depth, alpha, and per pixel the transmittance and how far its list was used."""
    device = scene[0].device
    size, area = (shape.scenes, shape.times), (shape.height, shape.width)
    rgb = torch.empty((*size, 3, *area), device=device)
    depth = torch.empty((*size, 1, *area), device=device)
    alpha = torch.empty((*size, 1, *area), device=device)
    transmittances = torch.empty((*size, *area), device=device)
    blended = torch.empty((*size, *area), device=device, dtype=torch.int32)
    launch(
        "blend_forward",
        "blend_forward",
        (*shape.tiles, shape.images),
        _BLOCK,
        (*_sizes(shape), *scene, rgb, depth, alpha, transmittances, blended),
        device=device,
    )
    return (rgb, depth, alpha), (transmittances, blended)


def _blend_backward(
    shape: _Shape,
    scene: tuple[Tensor, ...],
    kept: tuple[Tensor, ...],
    v_images: tuple[Tensor, Tensor, Tensor],
) -> Float[Tensor, "b t n 10"]:
    device = scene[0].device
    v_splats = torch.zeros((shape.scenes, shape.times, shape.gaussians, _SUMS), device=device)
    if shape.gaussians > 0:
        launch(
            "blend_backward",
            "blend_backward",
            (*shape.tiles, shape.images),
            _BLOCK,
            (*_sizes(shape), *scene, *kept, *v_images, v_splats),
            device=device,
        )
    return v_splats


def _project_backward(
    shape: _Shape,
    moving: tuple[Tensor | None, ...],
    splats: Tensor,
    v_splats: Tensor,
    *,
    needs_times: bool,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of means, motion, …, anchor times and times, in the inputs' order."""
    motion, scales, quats, quat_rates, *fades, times = moving
    assert motion is not None
    assert scales is not None
    assert quats is not None
    assert times is not None
    v_means = torch.empty_like(scales)
    v_motion, v_scales, v_quats = map(torch.empty_like, (motion, scales, quats))
    v_quat_rates = None if quat_rates is None else torch.empty_like(quat_rates)
    v_colors = torch.empty_like(scales)
    v_fades = [torch.empty_like(fade) for fade in fades if fade is not None]
    v_times = torch.zeros_like(times) if needs_times else None
    v_inputs = (v_means, v_motion, v_scales, v_quats, v_quat_rates, v_colors, *v_fades, v_times)
    launch(
        "project_backward",
        "project_backward",
        (_blocks(shape.gaussians), shape.scenes, 1),
        _BLOCK,
        (
            shape.gaussians,
            shape.times,
            shape.width,
            shape.height,
            *moving,
            splats,
            v_splats,
            *v_inputs,
        ),
        device=splats.device,
        degree=shape.degree,
    )
    return v_inputs


def _sizes(shape: _Shape) -> tuple[int, int, int, int, int]:
    """First arguments of the kernels that work on images."""
    return shape.times, shape.gaussians, int(shape.rotating), shape.width, shape.height


def _blocks(threads: int) -> int:
    return -(-threads // _BLOCK)


def _device(tensors: tuple[Tensor | None, ...]) -> torch.device:
    return next(value.device for value in tensors if value is not None)


def _check_size(shape: _Shape, total: int, tiles: int) -> None:
    if shape.images > _MAX_GRID or max(total, shape.images * tiles) > _MAX_PAIRS:
        raise RuntimeError(
            f"rasterize: {shape.images} images of {shape.width}x{shape.height} with "
            f"{shape.gaussians} Gaussians each are too many for one call (at most {_MAX_GRID} "
            f"images and {_MAX_PAIRS:,} Gaussians over all of them); render fewer times a call."
        )
