"""Which Gaussians may be near some points: a cheap test that spares the exact one for most."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from diff_gaussian_rasterization_orth.constants import ALPHA_MIN, COVARIANCE_BLUR
from jaxtyping import Float, Int
from torch import Tensor

from core.types import DynamicGaussians

_MARGIN = 1.25
"""Pixels that a distance may be too large by: two roundings of half a pixel, and float32's."""


def drawn_near(
    gaussians: DynamicGaussians,
    time: float,
    points: Float[Tensor, "p 2"],
    image_size: tuple[int, int],
) -> Int[Tensor, " m"]:
    """Return the Gaussians of one scene that may be drawn at a point, and few others, in order.

    Args:
        gaussians: One scene.
        time: Pair time.
        points: Pixel coordinates (u, v).
        image_size: Height and width in pixels.
    """
    height, width = image_size
    w, x, y, z = (column.contiguous() for column in gaussians.quats[0].unbind(1))
    variances = [column.square() for column in gaussians.scales[0].unbind(1)]
    right = (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y))
    up = (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
    var_u, var_v = (
        sum((side / 2 * part).square() * axis for part, axis in zip(row, variances, strict=True))
        for side, row in ((width, right), (height, up))
    )
    sigmas = (2 * torch.log(gaussians.opacities[0].clamp_min(ALPHA_MIN) / ALPHA_MIN)).sqrt()
    reach = sigmas * (torch.maximum(var_u, var_v) + COVARIANCE_BLUR).sqrt()
    since = time - gaussians.anchor_times[0]
    column = ((_moved(gaussians, 0, since) + 1) * (width / 2) - 0.5).clamp(0, width - 1)
    row = ((1 - _moved(gaussians, 2, since)) * (height / 2) - 0.5).clamp(0, height - 1)
    pixel = row.round().long() * width + column.round().long()
    distances = _distances(points, image_size).to(pixel.device)
    return (distances.index_select(0, pixel) <= reach + _MARGIN).nonzero()[:, 0]


def _moved(gaussians: DynamicGaussians, axis: int, since: Float[Tensor, " n"]) -> Tensor:
    """Return one coordinate of all centres."""
    moved = torch.zeros_like(since)
    for coefficient in reversed(gaussians.motion[0, :, :, axis].unbind(1)):
        moved = (moved + coefficient) * since
    return gaussians.means[0, :, axis] + moved


def _distances(points: Float[Tensor, "p 2"], image_size: tuple[int, int]) -> Float[Tensor, " hw"]:
    """Return how far each pixel is from the nearest point, along the axis where it is farther.

    Points beyond the edge count as at the edge, as do Gaussians: that makes no distance larger.
    """
    height, width = image_size
    column, row = points.cpu().numpy().T
    free = np.ones(image_size, np.uint8)
    free[
        np.rint(row.clip(0, height - 1)).astype(int), np.rint(column.clip(0, width - 1)).astype(int)
    ] = 0
    if free.all():
        return torch.full((height * width,), torch.inf)
    return torch.from_numpy(cv2.distanceTransform(free, cv2.DIST_C, 3)).flatten()
