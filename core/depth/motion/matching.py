"""Matches of one key frame in another: two-way optical flow, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32

from core.depth.motion.camera import Camera
from core.depth.motion.picture import Grey

EstimateFlow = Callable[[Grey, Grey], Float32[np.ndarray, "h2 w2 2"]]
"""Displacements (u, v) in pixels of the first picture's pixels until the second one, such as
:func:`core.geometry.optical_flow.grey_flow`."""

_NOISE_PX = 0.3
"""Standard deviation of a flow that agrees with that of the way back."""
_LARGEST_MISS_PX = 2.0
"""Miss, there and back, from which on a match is none."""


@dataclass(frozen=True)
class Matches:
    """Where the pixels of a key frame are seen in another one."""

    flow: Float32[np.ndarray, "h w 2"]
    """Displacement (u, v) of each pixel, pixels."""
    trust: Float32[np.ndarray, "h w"]
    """Its inverse variance, 1/px^2; 0 where there is no match."""


def match(first: Grey, second: Grey, camera: Camera, flow: EstimateFlow) -> Matches:
    """Return the matches of the first picture's pixels in the second.

    Args:
        first: The key frame.
        second: The other one, of the same size.
        camera: That of the maps, which may be smaller than the pictures.
        flow: Gives the flow between two pictures.
    """
    there, back = (_at_size(flow(*pair), camera) for pair in ((first, second), (second, first)))
    miss = there + follow(back, there, camera)
    squared = (miss * miss).sum(axis=-1)
    u, v = np.moveaxis(camera.pixels + there, -1, 0)
    inside = (u >= 0) & (u <= camera.width - 1) & (v >= 0) & (v <= camera.height - 1)
    usable = inside & (squared < _LARGEST_MISS_PX**2)
    return Matches(there, np.where(usable, 1 / (_NOISE_PX**2 + squared), 0).astype(np.float32))


def follow(
    values: Float32[np.ndarray, "h w"], flow: Float32[np.ndarray, "h w 2"], camera: Camera
) -> Float32[np.ndarray, "h w"]:
    """Return what ``values`` of another frame are where a flow leads, bilinearly.

    They may have channels. Beyond the edge a map goes on as at the edge.
    """
    places = camera.pixels + flow
    u, v = places[..., 0], places[..., 1]
    return cv2.remap(values, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _at_size(flow: Float32[np.ndarray, "h2 w2 2"], camera: Camera) -> Float32[np.ndarray, "h w 2"]:
    """Average a flow over the pixels of the maps, and count in these."""
    small = cv2.resize(flow, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    scale = np.array([camera.width, camera.height], np.float32) / flow.shape[1::-1]
    return (small * scale).astype(np.float32)
