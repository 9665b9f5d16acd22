"""Panels that show at a glance what a network does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from core.io.sheets import Panel

_PAPER = 255
_SOLID_ALPHA = 0.1


def color_panel(label: str, image: Float[Tensor, "3 h w"]) -> Panel:
    """Show colours in [0, 1]."""
    values = (image.detach().clamp(0, 1) * 255).round().byte()
    return Panel(label, values.permute(1, 2, 0).cpu().numpy())


def depth_panel(label: str, depth: Float[Tensor, "1 h w"], alpha: Float[Tensor, "1 h w"]) -> Panel:
    """Show the inverse of a rendered depth, warm is near; white where hardly anything is.

    Colours span the 2nd to the 98th percentile, so that a few stray Gaussians do not wash out the
    rest.

    Args:
        label: Says what is seen.
        depth: Alpha-weighted sum of depths, as rendered.
        alpha: Accumulated opacity.
    """
    solid = (alpha[0] > _SOLID_ALPHA).cpu().numpy()
    inverse = (alpha / depth.clamp_min(1e-6)).detach()[0].float().cpu().numpy()
    low, high = np.percentile(inverse[solid], (2, 98)) if solid.any() else (0.0, 1.0)
    scaled = np.clip((inverse - low) / max(high - low, 1e-6), 0, 1)
    colors = cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    return Panel(label, np.where(solid[..., None], colors[..., ::-1], np.uint8(_PAPER)))


def shrink(panel: Panel, max_width: int) -> Panel:
    """Return a panel no wider than ``max_width``, whose pixels are means of those they cover."""
    height, width = panel.image.shape[:2]
    if width <= max_width:
        return panel
    size = (max_width, max(round(height * max_width / width), 1))
    return replace(panel, image=cv2.resize(panel.image, size, interpolation=cv2.INTER_AREA))
