"""Affine maps of colours."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from core.data.augmentation.channels import mix_channels
from core.data.augmentation.draws import Recoloring
from core.data.augmentation.upload import upload


def recolor(
    frames: Float[Tensor, "b v 3 h w"], recoloring: Recoloring
) -> Float[Tensor, "b v 3 h w"]:
    """Map the colours of the samples that change, cut to [0, 1]; the others stay as they are."""
    changing = np.flatnonzero(recoloring.changes)
    if not changing.size:
        return frames
    rows = upload(changing, frames.device)
    linear = upload(recoloring.linear[changing], frames.device)
    offset = upload(recoloring.offset[changing], frames.device)[:, None, None, None, None]
    mapped = mix_channels(linear, frames[rows]) + offset
    return frames.index_copy(0, rows, mapped.clamp_(0.0, 1.0))
