"""A picture of a few frames, with mask and depth as overlays."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8, UInt16

from core.checks import UserError
from core.data.datasets.sequence_set import RawClip, SequenceSet
from core.io.stills.sheets import Panel, color_inverse_depth, draw_sheet

_PANEL_WIDTH = 320
_MASK_COLOR = np.array([255, 40, 160], np.uint8)
_OVERLAY = 0.55


def draw_samples(
    dataset: SequenceSet, *, samples: int, num_frames: int
) -> UInt8[np.ndarray, "h w 3"] | None:
    """Show the first and the last frame of samples of sequences all over the dataset.

    Args:
        dataset: The dataset.
        samples: How many sequences, at least 1; frames that cannot be read are left out.
        num_frames: Distance of the two frames and one more, less where the sequence is shorter.

    Returns:
        A row for each sequence, or None if no frame can be read.
    """
    present = np.flatnonzero(dataset.lengths)
    chosen = present[np.linspace(0, len(present) - 1, min(samples, len(present))).astype(int)]
    rows: list[list[Panel]] = []
    for sequence in chosen.tolist():
        last = min(num_frames, int(dataset.lengths[sequence])) - 1
        row: list[Panel] = []
        for frame in sorted({0, last}):
            try:
                clip = dataset.read(sequence, [frame], (1, _PANEL_WIDTH))
            except UserError:
                continue
            row += _panels(f"{dataset.keys[sequence]} {frame}", clip)
        rows += [row] if row else []
    return draw_sheet(rows, min_panel_width=_PANEL_WIDTH) if rows else None


def _panels(name: str, clip: RawClip) -> list[Panel]:
    image = clip.images[0]
    mask = Panel("no mask", image)
    depth = Panel("no depth", image)
    if clip.masks is not None:
        mask = Panel("mask", overlay_mask(image, clip.masks[0]))
    if clip.inverse_depths is not None:
        depth = Panel("depth, bright is near", overlay_depth(image, clip.inverse_depths[0]))
    return [Panel(name, image), mask, depth]


def overlay_mask(
    image: UInt8[np.ndarray, "h w 3"], mask: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Tint moving objects, and darken the rest."""
    tinted = _blend(image, np.broadcast_to(_MASK_COLOR, image.shape))
    return np.where(mask[..., None] > 0, tinted, image // 2)


def overlay_depth(
    image: UInt8[np.ndarray, "h w 3"], inverse_depth: UInt16[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Lay colours from dark (far) to bright (near) over an image, by the map's own range."""
    low, high = int(inverse_depth.min()), int(inverse_depth.max())
    normalized = (inverse_depth.astype(np.float32) - low) / max(high - low, 1)
    return _blend(image, color_inverse_depth(normalized))


def _blend(
    image: UInt8[np.ndarray, "h w 3"], over: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    return (image * (1.0 - _OVERLAY) + over * _OVERLAY).round().astype(np.uint8)
