"""A model that knows everything about a scene: one Gaussian a pixel, moved exactly.

It stands in for a network where what is done with Gaussians is measured apart from how good they
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from core.geometry.canonical import pixel_centers
from core.types import DynamicGaussians, TensorDataclass


@dataclass(frozen=True)
class Pixels(TensorDataclass):
    """Key frames of the oracle: what is seen, and which they are."""

    images: Float[Tensor, "b 3 h w"]
    inverse_depths: Float[Tensor, "b 1 h w"]
    number: Int[Tensor, " b"]


class PixelOracle:
    """Lifts the pixels of one scene's key frames, pushed one by one in order, and moves them.

    Args:
        forward: Canonical displacement (x, inverse depth, z) of the pixels of each key frame until
            the next one.
        backward: The same until the one before; that of the first key frame is never looked at.
        slope: Steepness of the opacity windows; 0 keeps everything opaque.
    """

    def __init__(
        self,
        forward: Sequence[Float[Tensor, "1 n 3"]],
        backward: Sequence[Float[Tensor, "1 n 3"]],
        slope: float,
    ) -> None:
        self._forward = forward
        self._backward = backward
        self._slope = slope
        self._numbers = count()

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> Pixels:
        """Note which frame it is."""
        return Pixels(images, inverse_depths, torch.tensor([next(self._numbers)]))

    def decode(self, first: Pixels, second: Pixels) -> DynamicGaussians:
        """Unite both frames' pixels with their true motion to each other."""
        forward = self._forward[int(first.number)]
        backward = -self._backward[int(second.number)]  # per unit of time, which runs back
        return DynamicGaussians.cat(
            [self._lift(first, 0.0, forward), self._lift(second, 1.0, backward)], dim=1
        )

    def static_gaussians(self, keyframe: Pixels) -> DynamicGaussians:
        """Return the pixels at rest."""
        return self._lift(keyframe, 0.0, torch.zeros_like(self._backward[0]))

    def bend_motion(
        self, motion: Tensor, before: Tensor, after: Tensor, durations: Tensor
    ) -> Tensor:
        """Return the motion as it is."""
        return motion

    def _lift(self, pixels: Pixels, anchor: float, moved: Tensor) -> DynamicGaussians:
        height, width = pixels.images.shape[-2:]
        x, z = (value.reshape(1, -1) for value in pixel_centers(height, width))
        zero = torch.zeros_like(x)
        size = torch.tensor([1 / width, 1 / width, 1 / height])
        return DynamicGaussians(
            means=torch.stack([x, pixels.inverse_depths.reshape(1, -1), z], dim=-1),
            motion=moved[:, :, None],
            scales=(1.1 * size).expand(1, x.shape[1], 3),
            quats=torch.tensor([1.0, 0, 0, 0]).expand(1, x.shape[1], 4),
            colors=rearrange(pixels.images, "b c h w -> b (h w) c"),
            opacities=zero + 0.95,
            opacity_slopes=zero + self._slope,
            opacity_half_lives=zero + 0.5,
            anchor_times=zero + anchor,
        )


def canonical_displacement(
    flow: Float[Tensor, "1 h w 2"], depth_change: Float[Tensor, "1 h w"]
) -> Float[Tensor, "1 n 3"]:
    """Bring displacements in pixels and of the inverse depth to canonical units, pixel by pixel."""
    height, width = depth_change.shape[1:]
    u, v = flow.unbind(-1)
    moved = torch.stack([2 * u / width, depth_change, -2 * v / height], dim=-1)
    return rearrange(moved, "1 h w xyz -> 1 (h w) xyz")
