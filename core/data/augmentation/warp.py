"""Affine maps of images, and of everything that is known about their pixels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.augmentation.draws import Geometry
from core.geometry.canonical import normalize_inverse_depth
from core.types import ClipBatch

_SHRINKS = 1.001
"""Source pixels along the longer axis of an output pixel, above which one look-up skips some."""


def warp_(batch: ClipBatch, geometry: Geometry) -> None:
    """Map the samples that change, in place; the others stay as they are.

    Frames and depth are interpolated bilinearly. Where an output pixel spans more than one source
    pixel, four look-ups are averaged, so far from one another that the filter as a whole has the
    spread of a bilinear one of the footprint's size and shape.
    Masks and motion are those of the nearest pixel. Outside there is the image's reflection.
    """
    height, width = batch.frames.shape[-2:]
    pixels = np.array([width, height]) / 2.0
    footprints = geometry.source_from_output[..., :2] * pixels[:, None] / pixels
    axes, spans, _ = np.linalg.svd(footprints)
    shrinks = spans[:, 0] > _SHRINKS
    # A bilinear filter has variance 1/6 of a pixel; what the span adds to that is left to the taps.
    spread = np.sqrt((spans**2 - 1.0).clip(0.0) / 6.0)
    root = (axes * spread[:, None]) @ axes.swapaxes(1, 2)  # of the covariance, in pixels
    first, second = np.moveaxis(root / pixels, 1, 0)
    taps = np.stack([first + second, first - second, second - first, -first - second])
    for chosen, offsets in (
        (geometry.changes & ~shrinks, np.zeros_like(taps[:1])),
        (geometry.changes & shrinks, taps),
    ):
        if chosen.any():
            _warp_rows_(batch, geometry.source_from_output, offsets, chosen)


def _warp_rows_(
    batch: ClipBatch,
    source_from_output: Float[np.ndarray, "b 2 3"],
    taps: Float[np.ndarray, "k b 2"],
    chosen: Bool[np.ndarray, " b"],
) -> None:
    device = batch.frames.device
    rows = upload(np.flatnonzero(chosen), device)
    maps = upload(source_from_output[chosen], device)
    offsets = upload(taps[:, chosen], device)
    grid = _source_grid(maps, batch.frames.shape[-2:])
    frames = _look_around(batch.frames[rows], grid, offsets).clamp_(0.0, 1.0)
    batch.frames.index_copy_(0, rows, frames)
    depths = _look_around(batch.inverse_depths[rows], grid, offsets)
    batch.inverse_depths.index_copy_(0, rows, normalize_inverse_depth(depths))
    batch.masks.index_copy_(0, rows, _look_up(batch.masks[rows], grid, "nearest"))
    # Vectors are (x, z) with z upwards, maps are of (x, y) with y downwards.
    upwards = np.array([[1.0, -1.0], [-1.0, 1.0]])
    turn = upload(np.linalg.inv(source_from_output[chosen, :, :2]) * upwards, device)
    motion, known = _warp_motion(batch.motion[rows], batch.motion_known[rows], maps, turn)
    batch.motion.index_copy_(0, rows, motion)
    batch.motion_known.index_copy_(0, rows, known)


def _warp_motion(
    motion: Float[Tensor, "n 2 2 g_h g_w"],
    known: Bool[Tensor, "n 2 g_h g_w"],
    maps: Float[Tensor, "n 2 3"],
    turn: Float[Tensor, "n 2 2"],
) -> tuple[Float[Tensor, "n 2 2 g_h g_w"], Bool[Tensor, "n 2 g_h g_w"]]:
    """Move the vectors to where their pixels go, and turn and stretch them with the image."""
    grid = _source_grid(maps, motion.shape[-2:])
    # In every second copy beyond a border the image, and what moves in it, is mirrored.
    copies = torch.floor((grid + 1.0) / 2.0)
    signs = 1.0 - 2.0 * copies.remainder(2.0)  # (n, g_h, g_w, 2)
    found = _look_up(torch.cat([motion, known[:, :, None]], dim=2), grid, "nearest")
    vectors = found[:, :, :2] * signs.permute(0, 3, 1, 2)[:, None]
    return mix_channels(turn, vectors), found[:, :, 2] > 0.5


def _source_grid(maps: Float[Tensor, "n 2 3"], size: tuple[int, ...]) -> Float[Tensor, "n h w 2"]:
    """Return where in the source the pixels of the output lie, in [-1, 1] within the image."""
    height, width = size
    x = (2.0 * torch.arange(width, device=maps.device) + 1.0) / width - 1.0
    y = (2.0 * torch.arange(height, device=maps.device) + 1.0) / height - 1.0
    of_x, of_y, shift = maps[:, None, None].unbind(-1)  # (n, 1, 1, 2)
    return of_x * x[:, None] + (of_y * y[:, None, None] + shift)


def _look_around(
    images: Float[Tensor, "n v c h w"],
    grid: Float[Tensor, "n h w 2"],
    offsets: Float[Tensor, "k n 2"],
) -> Float[Tensor, "n v c h w"]:
    """Average bilinear look-ups at every offset from the grid."""
    grids = (grid + offset for offset in offsets[:, :, None, None])
    seen = _look_up(images, next(grids), "bilinear")
    for near in grids:
        seen += _look_up(images, near, "bilinear")
    return seen.div_(len(offsets)) if len(offsets) > 1 else seen


def _look_up(
    images: Float[Tensor, "n v c h w"], grid: Float[Tensor, "n h w 2"], mode: str
) -> Float[Tensor, "n v c h w"]:
    found = F.grid_sample(
        images.flatten(1, 2), grid, mode=mode, padding_mode="reflection", align_corners=False
    )
    return found.unflatten(1, images.shape[1:3])


def mix_channels(
    matrices: Float[Tensor, "n d c"], images: Float[Tensor, "n v c h w"]
) -> Float[Tensor, "n v d h w"]:
    """Multiply the channels of each image with the matrix of its row.

    Channel by channel rather than as a matrix product, whose precision depends on global settings.
    """
    columns = matrices[:, None, :, :, None, None].unbind(3)  # c of (n, 1, d, 1, 1)
    mixed = columns[0] * images[:, :, :1]
    for channel, column in enumerate(columns[1:], start=1):
        mixed.addcmul_(column, images[:, :, channel : channel + 1])
    return mixed


def upload(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to ``device``; floating-point numbers become float32.

    The copy is made from pinned memory, so that the host does not wait for it.
    """
    tensor = torch.from_numpy(values)
    tensor = tensor.float() if tensor.is_floating_point() else tensor
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
