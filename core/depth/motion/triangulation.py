"""Dense inverse depth of a key frame from its matches with partners whose poses are known."""

from __future__ import annotations

import numpy as np

from core.depth.motion.camera import Camera
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.matching import Matches
from core.depth.motion.pose import OUTLIER_PX, Pose

_ROUNDS = 3
_NEAREST_Z = 0.05
_BEHIND = np.float32(0.1)
"""What is left of the certainty where the best inverse depth is negative."""


def triangulate(partners: list[tuple[Matches, Pose]], camera: Camera) -> DepthMap:
    """Return the inverse depths that explain the matches best, and how certain they are.

    With ``x = K R ray``, ``k = K t`` and the pixel ``q`` of a partner, ``x + rho k ~ (q, 1)`` is
    linear in the inverse depth ``rho``. The least squares over all partners and both coordinates
    are solved three times: matches far from the solution before count little (Geman and McClure
    1985), so that what moves by itself, which no inverse depth explains, is not certain.

    Args:
        partners: Matches with each partner, and the pose from the key frame to it.
        camera: The camera of all.
    """
    rows = []
    for matches, pose in partners:
        matrix = (camera.matrix @ pose.rotation).astype(np.float32)
        x = camera.rays @ matrix.T
        k = (camera.matrix @ pose.translation).astype(np.float32)
        q = camera.pixels + matches.flow
        slope = k[:2] - q * k[2]
        gap = q * x[..., 2:] - x[..., :2]
        # A sum over two channels costs more by NumPy than it does written out.
        square = slope[..., 0] * slope[..., 0] + slope[..., 1] * slope[..., 1]
        product = slope[..., 0] * gap[..., 0] + slope[..., 1] * gap[..., 1]
        rest = gap[..., 0] * gap[..., 0] + gap[..., 1] * gap[..., 1]
        rows.append((square, product, rest, x[..., 2], k[2], matches.trust))
    rho = np.zeros((camera.height, camera.width), np.float32)
    certainty = rho
    for round_ in range(_ROUNDS):
        certainty, total = np.zeros_like(rho), np.zeros_like(rho)
        for square, product, rest, x2, k2, trust in rows:
            z = np.maximum(x2 + rho * k2, np.float32(_NEAREST_Z))
            weight = trust / (z * z)
            if round_:
                error = (rho * (rho * square - 2 * product) + rest) / (z * z)
                weight /= (1 + error / np.float32(OUTLIER_PX**2)) ** 2
            certainty += weight * square
            total += weight * product
        rho = total / np.maximum(certainty, np.float32(1e-6))
    return DepthMap(np.maximum(rho, 0), np.where(rho > 0, certainty, certainty * _BEHIND))
