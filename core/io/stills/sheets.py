"""Sheets of labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

_GAP = 6
_LABEL_HEIGHT = 24
_INK = (30, 30, 30)
_PAPER = 255


@dataclass(frozen=True)
class Panel:
    """An image and the line above it."""

    label: str
    """Says what is seen."""
    image: UInt8[np.ndarray, "h w 3"]
    """RGB."""


def draw_sheet(
    rows: Sequence[Sequence[Panel]], *, min_panel_width: int = 320
) -> UInt8[np.ndarray, "h w 3"]:
    """Lay panels out in rows, each below its label.

    Args:
        rows: The panels; rows may differ in length, panels in size.
        min_panel_width: Narrower panels are enlarged, by an integer factor.
    """
    drawn = [[_draw(panel, min_panel_width) for panel in row] for row in rows]
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


def color_inverse_depth(inverse_depth: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Show inverse depth in [0, 1] in colours of growing lightness, from far to near."""
    levels = (inverse_depth * 255.0).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def color_motion(
    motion: Float[np.ndarray, "2 h w"], known: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Show displacements: direction as hue, length as lightness, what is not known in white.

    Args:
        motion: To the right and upwards, in any unit; the longest one that is known is brightest.
        known: Where it is known.
    """
    length = np.hypot(*motion) * known
    share = length / max(length.max(), 1e-6)
    degrees = np.degrees(np.arctan2(motion[1], motion[0])) % 360.0
    hsv = np.stack([degrees / 2.0, np.full_like(share, 255.0), 255.0 * share], axis=-1)
    image = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    image[~known] = _PAPER
    return image


def _draw(panel: Panel, min_width: int) -> UInt8[np.ndarray, "h w 3"]:
    height, width = panel.image.shape[:2]
    factor = -(-min_width // width)
    size = (factor * width, factor * height)
    image = cv2.resize(panel.image, size, interpolation=cv2.INTER_NEAREST)
    label = np.full((_LABEL_HEIGHT, size[0], 3), _PAPER, np.uint8)
    place = (2, _LABEL_HEIGHT - 7)
    cv2.putText(label, panel.label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return np.concatenate([label, image])
