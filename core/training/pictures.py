"""Sheets of labelled images that show at a glance what a network does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

_GAP = 6
_LABEL_HEIGHT = 24
_MIN_PANEL_WIDTH = 320
_INK = (30, 30, 30)
_PAPER = 255
_SOLID_ALPHA = 0.1


@dataclass(frozen=True)
class Panel:
    """An image and the line above it."""

    label: str
    """Says what is seen."""
    image: UInt8[np.ndarray, "h w 3"]
    """RGB."""


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


def draw_sheet(rows: Sequence[Sequence[Panel]]) -> UInt8[np.ndarray, "h w 3"]:
    """Lay panels out in rows, each below its label; small ones are enlarged."""
    drawn = [[_draw(panel) for panel in row] for row in rows]
    height = sum(max(p.shape[0] for p in row) + _GAP for row in drawn) + _GAP
    width = max(sum(p.shape[1] + _GAP for p in row) for row in drawn) + _GAP
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    top = _GAP
    for row in drawn:
        left = _GAP
        for panel in row:
            sheet[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
            left += panel.shape[1] + _GAP
        top += max(panel.shape[0] for panel in row) + _GAP
    return sheet


def _draw(panel: Panel) -> UInt8[np.ndarray, "h w 3"]:
    height, width = panel.image.shape[:2]
    factor = -(-_MIN_PANEL_WIDTH // width)  # whole, so that pixels stay square
    size = (factor * width, factor * height)
    image = cv2.resize(panel.image, size, interpolation=cv2.INTER_NEAREST)
    label = np.full((_LABEL_HEIGHT, size[0], 3), _PAPER, np.uint8)
    place = (2, _LABEL_HEIGHT - 7)
    cv2.putText(label, panel.label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return np.concatenate([label, image])
