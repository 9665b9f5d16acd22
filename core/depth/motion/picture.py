"""What is kept of a frame: grey levels for flow, and colours that tell surfaces apart."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

LONGER_SIDE = 512
"""Pixels of the longer side of the pictures whose flow is estimated."""
SHORTEST_SIDE = 32
"""Pixels below which flow cannot be estimated."""
_MAP_SHRINKING = 2

Grey = UInt8[np.ndarray, "h2 w2"]


@dataclass(frozen=True)
class Picture:
    """A frame at its working size."""

    grey: Grey
    """What flow is estimated from."""
    rgb: UInt8[np.ndarray, "h w 3"]
    """At the size of the maps, half as large."""

    @property
    def colors(self) -> Float32[np.ndarray, "h w 3"]:
        """Colours in CIELAB, lightness from 0 to 1 and the others in the same unit."""
        return cv2.cvtColor(self.rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) / 100


def working_size(height: int, width: int) -> tuple[int, int]:
    """Return the even size at which frames of a size are looked at; only tiny ones are enlarged."""
    scale = min(1.0, LONGER_SIDE / max(height, width))
    rows, columns = (2 * round(side * scale / 2) for side in (height, width))
    return max(SHORTEST_SIDE, rows), max(SHORTEST_SIDE, columns)


def working_picture(image: UInt8[np.ndarray, "h w 3"]) -> Picture:
    """Return an RGB image at its working size."""
    height, width = working_size(*image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    map_size = (width // _MAP_SHRINKING, height // _MAP_SHRINKING)
    return Picture(
        cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
        cv2.resize(small, map_size, interpolation=cv2.INTER_AREA),
    )
