"""Frames at the size at which OpenCV estimates their flow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

LONGER_SIDE = 512
"""Pixels of the longer side of the pictures whose flow is estimated."""
SHORTEST_SIDE = 32
"""Pixels below which flow cannot be estimated."""

Grey = UInt8[np.ndarray, "h2 w2"]


@dataclass(frozen=True)
class Picture:
    """A frame at its working size, twice that of its maps."""

    rgb: UInt8[np.ndarray, "h2 w2 3"]
    """Its colours."""

    @property
    def grey(self) -> Grey:
        """What flow is estimated from."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)

    @property
    def image(self) -> Float[Tensor, "3 h2 w2"]:
        """RGB in [0, 1]."""
        return rearrange(torch.from_numpy(self.rgb), "h w c -> c h w") / 255

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of its maps."""
        height, width = self.rgb.shape[:2]
        return height // 2, width // 2


def working_size(height: int, width: int) -> tuple[int, int]:
    """Return the even size at which frames of a size are looked at; only tiny ones are enlarged."""
    scale = min(1.0, LONGER_SIDE / max(height, width))
    rows, columns = (2 * round(side * scale / 2) for side in (height, width))
    return max(SHORTEST_SIDE, rows), max(SHORTEST_SIDE, columns)


def working_picture(image: UInt8[np.ndarray, "h w 3"]) -> Picture:
    """Return an RGB image at its working size."""
    height, width = working_size(*image.shape[:2])
    return Picture(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
