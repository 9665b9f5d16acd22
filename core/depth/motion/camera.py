"""The camera that motion is seen through: a pinhole with square pixels, centred."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64


@dataclass(frozen=True)
class Camera:
    """A camera whose pictures, or maps, are ``height`` by ``width``."""

    height: int
    width: int
    focal_px: float
    """Focal length in pixels of these pictures."""

    @staticmethod
    def of_fov(height: int, width: int, fov: float) -> Camera:
        """Return the camera that sees ``fov`` degrees along the longer side."""
        return Camera(height, width, max(height, width) / 2 / math.tan(math.radians(fov) / 2))

    @cached_property
    def matrix(self) -> Float64[np.ndarray, "3 3"]:
        """From camera axes (right, down, forward) to homogeneous pixels; (0, 0) is a centre."""
        u, v = (self.width - 1) / 2, (self.height - 1) / 2
        return np.array([[self.focal_px, 0, u], [0, self.focal_px, v], [0, 0, 1]])

    @cached_property
    def pixels(self) -> Float32[np.ndarray, "h w 2"]:
        """Coordinates (u, v) of all pixels."""
        v, u = np.mgrid[: self.height, : self.width].astype(np.float32)
        return np.stack((u, v), axis=-1)

    @cached_property
    def rays(self) -> Float32[np.ndarray, "h w 3"]:
        """Where each pixel looks: camera axes, third component 1."""
        rays = np.ones((self.height, self.width, 3), np.float32)
        rays[..., :2] = (self.pixels - self.matrix[:2, 2]) / self.focal_px
        return rays
