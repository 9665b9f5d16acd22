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


class Nearness:
    """Finds which Gaussians of a scene may be drawn at some points, and few others.

    Args:
        gaussians: One scene.
        image_size: Height and width in pixels.
    """

    def __init__(self, gaussians: DynamicGaussians, image_size: tuple[int, int]) -> None:
        height, width = image_size
        self._image_size = image_size
        self._anchors = gaussians.anchor_times[0]
        self._column = _path(gaussians, 0, width / 2, (width - 1) / 2)
        self._row = _path(gaussians, 2, -height / 2, (height - 1) / 2)
        self._reach = _reach(gaussians, image_size)

    def near(self, points: Float[Tensor, "p 2"], time: float) -> Int[Tensor, " m"]:
        """Return the Gaussians, in order.

        Args:
            points: Pixel coordinates (u, v).
            time: Pair time.
        """
        height, width = self._image_size
        since = time - self._anchors
        column = _place(self._column, since).clamp_(0, width - 1).round_().int()
        row = _place(self._row, since).clamp_(0, height - 1).round_().int()
        pixel = column.add_(row, alpha=width)
        distances = _distances(points, self._image_size).to(pixel.device)
        return (distances.index_select(0, pixel) <= self._reach).nonzero()[:, 0]


def _path(
    gaussians: DynamicGaussians, axis: int, scale: float, origin: float
) -> list[Float[Tensor, " n"]]:
    """Return a polynomial of the time since the anchor: one coordinate of centres, pixels."""
    begin, motion = gaussians.means[0, :, axis], gaussians.motion[0, :, :, axis]
    return [begin * scale + origin, *(column * scale for column in motion.unbind(1))]


def _place(path: list[Float[Tensor, " n"]], since: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the value of a polynomial, in memory of its own."""
    place = path[-1].clone()
    for coefficient in reversed(path[:-1]):
        place = torch.addcmul(coefficient, place, since)
    return place


def _reach(gaussians: DynamicGaussians, image_size: tuple[int, int]) -> Float[Tensor, " n"]:
    """Return how far from its centre each Gaussian is drawn at most, pixels along either axis."""
    height, width = image_size
    w, x, y, z = _columns(gaussians.quats[0])
    sx, sy, sz = (column.square() for column in _columns(gaussians.scales[0]))
    right = (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y))
    up = (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
    var_u, var_v = (
        (side / 2) ** 2 * (sx * a.square() + sy * b.square() + sz * c.square())
        for side, (a, b, c) in ((width, right), (height, up))
    )
    # No opacity is above that at the anchor.
    sigmas = (2 * torch.log(gaussians.opacities[0].clamp_min(ALPHA_MIN) / ALPHA_MIN)).sqrt()
    return sigmas * (torch.maximum(var_u, var_v) + COVARIANCE_BLUR).sqrt() + _MARGIN


def _columns(values: Float[Tensor, "n k"]) -> list[Float[Tensor, " n"]]:
    return [column.contiguous() for column in values.unbind(1)]


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
