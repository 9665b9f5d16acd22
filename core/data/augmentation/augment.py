"""Applies the changes drawn for each sample, on the device of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.data.augmentation.draws import Recoloring, draw
from core.data.augmentation.options import AugmentationOptions
from core.data.augmentation.warp import mix_channels, upload, warp_
from core.types import ClipBatch


def augment(
    batch: ClipBatch, *, seed: int, positions: Sequence[int], options: AugmentationOptions
) -> ClipBatch:
    """Change each sample at random: where things are seen, and in which colours.

    Frames, depth, masks and motion of a sample move together; colours of frames alone change.
    Frames and depth are interpolated bilinearly, over a wider area where what is seen shrinks, and
    depth is normalised again; masks and motion are those of the nearest pixel. Images are continued
    by reflection.

    Args:
        batch: The samples, on any device; the host does not wait for the device.
        seed: Seed of the run, at least 0.
        positions: Where in the endless stream of samples each one lies: the result is a function of
            the sample, the seed and its position, not of the rest of the batch.
        options: Probabilities and strengths.

    Raises:
        ValueError: If there is not one position for each sample.
    """
    if len(positions) != len(batch.frames):
        raise ValueError(
            f"augment: there are {len(positions)} positions for {len(batch.frames)} samples."
        )
    height, width = batch.frames.shape[-2:]
    geometry, recoloring = draw(options, seed=seed, positions=positions, aspect=height / width)
    with torch.no_grad():
        changed = replace(
            batch,
            frames=batch.frames.clone(),
            inverse_depths=batch.inverse_depths.clone(),
            masks=batch.masks.clone(),
            motion=batch.motion.clone(),
            motion_known=batch.motion_known.clone(),
        )
        warp_(changed, geometry)
        recolor_(changed.frames, recoloring)
    return changed


def recolor_(frames: Float[Tensor, "b v 3 h w"], recoloring: Recoloring) -> None:
    """Map the colours of the samples that change, in place, cut to [0, 1]."""
    changing = np.flatnonzero(recoloring.changes)
    if changing.size:
        rows = upload(changing, frames.device)
        linear = upload(recoloring.linear[changing], frames.device)
        offset = upload(recoloring.offset[changing], frames.device)[:, None, None, None, None]
        mapped = mix_channels(linear, frames[rows]).add_(offset)
        frames.index_copy_(0, rows, mapped.clamp_(0.0, 1.0))
