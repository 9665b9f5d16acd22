"""How well a picture's texture holds a match in place."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from core.depth.motion.camera import Camera
from core.depth.motion.matching import Matches
from core.depth.motion.picture import Grey
from core.depth.motion.pose import Pose

_WINDOW = 9
"""Side of the window over which gradients are averaged, pixels of the picture."""
_ENOUGH = 30.0
"""Mean squared gradient, (grey levels / pixel)^2, at which a match counts half."""
_LEAST = 1.0
"""The same below which it counts nothing, when poses are sought."""


class Texture:
    """The structure tensor of a key frame (Foerstner and Guelch 1987), at the size of its maps."""

    def __init__(self, grey: Grey, camera: Camera) -> None:
        picture = grey.astype(np.float32)
        x = cv2.Scharr(picture, -1, 1, 0, scale=1 / 32)
        y = cv2.Scharr(picture, -1, 0, 1, scale=1 / 32)
        size = (camera.width, camera.height)
        self._xx, self._xy, self._yy = (
            cv2.resize(cv2.blur(product, (_WINDOW, _WINDOW)), size, interpolation=cv2.INTER_AREA)
            for product in (x * x, x * y, y * y)
        )
        self._camera = camera

    @property
    def corners(self) -> Float32[np.ndarray, "h w"]:
        """How well matches are held in both directions, in [0, 1]; 0 where not at all.

        From the smaller eigenvalue of the structure tensor (Shi and Tomasi 1994).
        """
        half = (self._xx + self._yy) / 2
        least = half - np.sqrt(((self._xx - self._yy) / 2) ** 2 + self._xy**2)
        return np.where(least > _LEAST, least / (least + np.float32(_ENOUGH)), 0)

    def along_epipolar_lines(self, matches: Matches, pose: Pose) -> Matches:
        """Trust matches less where the picture is the same along their epipolar lines.

        There a flow only goes on from its surroundings, and depth rests on its length alone.
        """
        camera = self._camera
        k = (camera.matrix @ pose.translation).astype(np.float32)
        direction = k[:2] - (camera.pixels + matches.flow) * k[2]
        u, v = direction[..., 0], direction[..., 1]
        energy = self._xx * u * u + 2 * self._xy * u * v + self._yy * v * v
        length = u * u + v * v
        return Matches(
            matches.flow, matches.trust * energy / (energy + _ENOUGH * length + np.float32(1e-9))
        )
