"""The camera that motion is seen through: a centred pinhole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from core.geometry.fit import FrameFit


@dataclass(frozen=True)
class Camera:
    """A camera whose maps are ``height`` by ``width``; (0, 0) is the centre of a map."""

    height: int
    width: int
    focal_px: tuple[float, float]
    """Focal length in pixels of the maps, along rows and along columns: (u, v)."""
    content: tuple[float, float]
    """How far from the centre, along u and v, maps show the picture; beyond lies padding."""
    ratio: Float[Tensor, ""] | None = field(default=None, compare=False)
    """The true focal length over ``focal_px``, where it is estimated."""

    @staticmethod
    def of_fov(height: int, width: int, fov: float) -> Camera:
        """Return the camera that sees ``fov`` degrees along the longer side, by square pixels."""
        focal = _focal_px(height, width, fov)
        return Camera(height, width, (focal, focal), ((width - 1) / 2, (height - 1) / 2))

    @staticmethod
    def of_fit(fit: FrameFit, size: tuple[int, int], fov: float) -> Camera:
        """Return the camera of maps of the model's picture.

        Args:
            fit: How frames enter the model.
            size: Height and width of the maps.
            fov: Angle of view along the longer side of the frames, degrees.
        """
        focal = _focal_px(*fit.input_size, fov)
        shrink_u, shrink_v = size[1] / fit.model_size[1], size[0] / fit.model_size[0]
        width, height = fit.content.width * shrink_u, fit.content.height * shrink_v
        by_axis = (focal * width / fit.source.width, focal * height / fit.source.height)
        return Camera(*size, by_axis, ((width - 1) / 2, (height - 1) / 2))

    def scaled(self, ratio: Float[Tensor, ""]) -> Camera:
        """Return the camera with so many times the focal length."""
        return replace(self, ratio=ratio)

    def focal(self, like: Tensor) -> Float[Tensor, "2"]:
        """Return the focal lengths as a tensor."""
        focal = _constant(self.focal_px, like.dtype, like.device)
        return focal if self.ratio is None else focal * self.ratio.to(like)

    def edge(self, like: Tensor) -> Float[Tensor, "2"]:
        """Return :attr:`content` as a tensor."""
        return _constant(self.content, like.dtype, like.device)

    def shares(self, like: Tensor) -> Float[Tensor, "2 1 1"]:
        """Return what a pixel is of half the width and half the height."""
        return _constant((2 / self.width, 2 / self.height), like.dtype, like.device)[:, None, None]

    def pixels(self, device: torch.device) -> Float[Tensor, "2 h w"]:
        """Return the places (u, v) of all pixels."""
        return _pixels(self.height, self.width, device)

    def rays(self, device: torch.device) -> Float[Tensor, "3 h w"]:
        """Return where each pixel looks: camera axes (right, down, forward), the third one 1."""
        rays = _rays(self.height, self.width, self.focal_px, device)
        return rays if self.ratio is None else torch.cat((rays[:2] / self.ratio, rays[2:]))


def _focal_px(height: int, width: int, fov: float) -> float:
    return max(height, width) / 2 / math.tan(math.radians(fov) / 2)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _constant(
    values: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Float[Tensor, " k"]:
    return torch.tensor(values, dtype=dtype, device=device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _pixels(height: int, width: int, device: torch.device) -> Float[Tensor, "2 h w"]:
    v, u = (torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in (height, width))
    return torch.stack((u.expand(height, width), v[:, None].expand(height, width))).to(device)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _rays(
    height: int, width: int, focal_px: tuple[float, float], device: torch.device
) -> Float[Tensor, "3 h w"]:
    uv = _pixels(height, width, device) / torch.tensor(focal_px, device=device)[:, None, None]
    return torch.cat((uv, torch.ones_like(uv[:1])))
