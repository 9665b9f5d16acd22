"""Affine maps of colours."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from core.data.augmentation.channels import mix_channels
from core.data.augmentation.draws import Recoloring
from core.data.augmentation.upload import upload


def recolor_(frames: Float[Tensor, "b v 3 h w"], recoloring: Recoloring) -> None:
    """Map the colours of the samples that change, in place, cut to [0, 1]."""
    changing = np.flatnonzero(recoloring.changes)
    if changing.size:
        rows = upload(changing, frames.device)
        linear = upload(recoloring.linear[changing], frames.device)
        offset = upload(recoloring.offset[changing], frames.device)[:, None, None, None, None]
        mapped = mix_channels(linear, frames[rows]).add_(offset)
        frames.index_copy_(0, rows, mapped.clamp_(0.0, 1.0))
