"""Motion between the key frames of a clip, from optical flow where it agrees both ways."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from core.geometry.optical_flow import grey_flow

_TOLERANCE_PX = 1.0
_TOLERANCE_SHARE = 0.05
"""Forward and backward flow may differ by this share of their length, but at least by the pixel."""


def label_motion(
    first: UInt8[np.ndarray, "h w 3"], last: UInt8[np.ndarray, "h w 3"]
) -> tuple[Float32[np.ndarray, "2 2 g_h g_w"], Bool[np.ndarray, "2 g_h g_w"]]:
    """Estimate how what either key frame shows moves until the other one.

    Dense inverse search (Kroeger et al. 2016) in both directions, on grey frames.

    Args:
        first: RGB of the first key frame.
        last: RGB of the last one.

    Returns:
        Canonical (x, z) displacements from the first to the last, then from the last to the first,
        on a grid of half the resolution; and where the two agree.
    """
    height, width = (side // 2 * 2 for side in first.shape[:2])
    grey = [cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2GRAY) for image in (first, last)]
    size = (width // 2, height // 2)
    flows: list[np.ndarray] = []
    for here, there in (grey, grey[::-1]):
        flow = grey_flow(here, there)
        flows.append(cv2.resize(flow, size, interpolation=cv2.INTER_AREA))
    known = [_agrees(flow, back) for flow, back in (flows, flows[::-1])]
    # x is 2 across the width, z is 2 up the height.
    unit = np.array([2.0 / width, -2.0 / height], np.float32)
    motion = np.stack(flows) * unit * np.stack(known)[..., None]
    return np.ascontiguousarray(motion.transpose(0, 3, 1, 2)), np.stack(known)


def _agrees(
    flow: Float32[np.ndarray, "g_h g_w 2"], back: Float32[np.ndarray, "g_h g_w 2"]
) -> Bool[np.ndarray, "g_h g_w"]:
    """Whether the flow leads to where the flow back leads here, with a cell for 2 by 2 pixels."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + 0.5 * flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5 * flow[..., 1]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    returned = flow + cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    allowed = np.maximum(_TOLERANCE_PX, _TOLERANCE_SHARE * np.linalg.norm(flow, axis=-1))
    return inside & (np.linalg.norm(returned, axis=-1) <= allowed)
