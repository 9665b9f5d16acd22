"""Clips and a model of one Gaussian a pixel, for tests of streaming and of outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor

from core.checks import UserError
from core.depth.source import DepthSource, NoDepth
from core.geometry.canonical import pixel_centers
from core.io import Frame
from core.io.frame_source import FrameSource
from core.streaming import PairModel, Session
from core.streaming.reconstruct import ClipReconstructor
from core.types import DynamicGaussians, TensorDataclass

MODEL_SIZE = (32, 64)


@dataclass(frozen=True)
class Pixels(TensorDataclass):
    images: Tensor
    inverse_depths: Tensor


class PixelModel:
    """Makes one Gaussian of each pixel; between two key frames it blends them."""

    def encode(self, images: Tensor, inverse_depths: Tensor) -> Pixels:
        assert images.shape[-2:] == MODEL_SIZE == inverse_depths.shape[-2:]
        return Pixels(images, inverse_depths)

    def decode(self, first: Pixels, second: Pixels) -> DynamicGaussians:
        return DynamicGaussians.cat([still(first, 0.0, 8.0), still(second, 1.0, 8.0)], dim=1)

    def static_gaussians(self, keyframe: Pixels) -> DynamicGaussians:
        return still(keyframe, 0.0, 0.0)

    def bend_motion(
        self, motion: Tensor, before: Tensor, after: Tensor, durations: Tensor
    ) -> Tensor:
        return motion


def still(pixels: Pixels, anchor_time: float, slope: float) -> DynamicGaussians:
    height, width = MODEL_SIZE
    b, n = len(pixels.images), height * width
    x, z = (value.reshape(-1).expand(b, n) for value in pixel_centers(height, width))
    inverse_depths = rearrange(pixels.inverse_depths, "b 1 h w -> b (h w)")
    ones = torch.ones(b, n)
    return DynamicGaussians(
        means=torch.stack([x, inverse_depths, z], dim=-1),
        motion=torch.zeros(b, n, 0, 3),
        scales=torch.tensor([0.8 / width, 0.8 / width, 0.8 / height]).expand(b, n, 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(b, n, 4),
        colors=rearrange(pixels.images, "b c h w -> b (h w) c"),
        opacities=0.95 * ones,
        opacity_slopes=slope * ones,
        opacity_half_lives=0.5 * ones,
        anchor_times=anchor_time * ones,
    )


class SyntheticSource(FrameSource):
    """A square that moves to the right; optionally a frame that cannot be read."""

    def __init__(
        self, count: int, size: tuple[int, int] = (36, 64), broken: int | None = None
    ) -> None:
        super().__init__(Path("synthetic"), "raise")
        self.count = count
        self.size = size
        self.broken = broken

    @property
    def names(self) -> list[str]:
        return [f"{index:04d}" for index in range(self.count)]

    def _decode(self) -> Iterator[Frame]:
        for index, name in enumerate(self.names):
            if index == self.broken:
                raise UserError(f"frame {name} is damaged.")
            yield Frame(index, name, picture(index, self.size))


def picture(index: int, size: tuple[int, int]) -> np.ndarray:
    image = np.full((*size, 3), 60, dtype=np.uint8)
    image[..., 1] = np.linspace(40, 200, size[0], dtype=np.uint8)[:, None]
    left = (3 * index) % max(size[1] // 2, 1)
    image[size[0] // 4 : size[0] // 2, left : left + size[1] // 4, 0] = 230
    return image


@pytest.fixture
def synthetic_source() -> type[SyntheticSource]:
    return SyntheticSource


@pytest.fixture
def model_size() -> tuple[int, int]:
    return MODEL_SIZE


@pytest.fixture
def reconstructor() -> Callable[..., ClipReconstructor]:
    """Build a reconstructor by the pixel model, without depth unless one is given."""

    def build(
        *,
        model: PairModel | None = None,
        depth: DepthSource | None = None,
        max_frames: int | None = None,
        **options: Any,
    ) -> ClipReconstructor:
        settings = {"frame_gap": 3, "image_size": MODEL_SIZE, **options}
        session = Session(model or PixelModel(), **settings)
        return ClipReconstructor(session, depth or NoDepth(), max_frames)

    return build
