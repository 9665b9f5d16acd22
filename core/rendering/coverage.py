"""Even coverage of surfaces in views other than the input camera's.

A model's Gaussians stand for two pixels a side and cover what is behind them to nine tenths or
less, more in their middles than between them. Its own picture samples that at places which the
model knows; from elsewhere other places are seen, and the background shines through as a grid.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.types import RenderOutput

_SPACING_PX = 2
"""Distance of Gaussians in the model's picture."""
_LEAST = 1e-3
_MOST = 2.0
"""By how much a pixel may gain: at the rim of a surface its neighbours are covered far better."""


def even_coverage(
    images: RenderOutput,
    background: Float[Tensor, "3"] | float,
    model_size: tuple[int, int],
) -> RenderOutput:
    """Give each pixel the mean opacity around it, over the distance between Gaussians.

    Colours and depths stay, only how far the background shows through changes.

    Args:
        images: Pictures over ``background``.
        background: RGB, or one grey.
        model_size: Height and width in pixels of the model's picture; see
            :func:`core.rendering.perspective.render_perspective`.
    """
    behind = background[:, None, None] if isinstance(background, Tensor) else background
    alphas = images.alpha
    window = [
        max(round(_SPACING_PX * side / own), 1)
        for side, own in zip(alphas.shape[-2:], model_size, strict=True)
    ]
    down, right = (side - 1 for side in window)
    around = F.pad(alphas.flatten(0, 1), (right, right, down, down), mode="replicate")
    for _ in range(2):  # twice a box is a triangle, whose mean does not ripple either
        around = F.avg_pool2d(around, window, stride=1)
    means = around.view_as(alphas)
    gain = (means / alphas.clamp_min(_LEAST)).clamp_max(_MOST)
    covered = images.rgb - (1 - alphas) * behind
    return RenderOutput(
        gain * covered + (1 - gain * alphas) * behind, gain * images.depth, gain * alphas
    )
