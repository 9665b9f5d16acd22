"""Clips of miniatures: procedural scenes as integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8, UInt16
from torch import Tensor

from core.checks import UserError
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.geometry.canonical import normalize_inverse_depth

MAX_SEQUENCES = 100
"""Most sequences of a split: scenes are numbered, and splits have blocks of this size."""
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Recipe:
    """What a miniature holds."""

    sequences: int = 3
    """Sequences of each split."""
    frames: int = 8
    """Frames of a sequence."""
    image_size: tuple[int, int] = (72, 128)
    """Height and width of the images in pixels."""
    seed: int = 0
    """Chooses the scenes."""
    depth: bool = True
    """Whether depth maps lie beside the images."""

    def __post_init__(self) -> None:
        for name, least, most in (("sequences", 1, MAX_SEQUENCES), ("frames", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                raise UserError(
                    f"--{name} is {getattr(self, name)}; expected a number from {least} to {most}."
                )
        if min(self.image_size) < 16:
            height, width = self.image_size
            raise UserError(f"--height and --width are {height} and {width}; expected at least 16.")


@dataclass(frozen=True)
class MiniatureClip:
    """``v`` frames of one scene."""

    images: UInt8[np.ndarray, "v h w 3"]
    """RGB."""
    inverse_depths: UInt16[np.ndarray, "v h w"]
    """Relative inverse depth, each map from 0 to 65535."""
    labels: UInt8[np.ndarray, "v h w"]
    """0 on what stands still; each object that moves on its own has a number from 1."""

    def jpegs(self) -> list[bytes]:
        """Return the frames as JPEG files."""
        return [_encode_jpeg(image) for image in self.images]


def draw_clip(recipe: Recipe, index: int) -> MiniatureClip:
    """Render scene ``index`` at even times over the whole of its clip."""
    height, width = recipe.image_size
    source = ProceduralSource(ProceduralOptions(height=height, width=width), seed=recipe.seed)
    scenes = source.sample_scenes([index])
    views = scenes.render(torch.linspace(0.0, 1.0, recipe.frames)[None])
    depths = normalize_inverse_depth(views.inverse_depths[0, :, 0])
    moving = scenes.stack.moving[0]
    label_of_layer = (moving.cumsum(0) * moving).to(torch.uint8)
    return MiniatureClip(
        images=_to_uint8(rearrange(views.frames[0], "v c h w -> v h w c")),
        inverse_depths=np.round(depths.numpy() * np.float64(65535)).astype(np.uint16),
        labels=label_of_layer[views.layers[0].long()].numpy(),
    )


Draw = Callable[[int], MiniatureClip]
"""Renders the clip of a number; see :func:`draw_clip`."""


def _to_uint8(values: Tensor) -> UInt8[np.ndarray, "..."]:
    return (values * 255.0).round().to(torch.uint8).numpy()


def _encode_jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    ok, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert ok
    return encoded.tobytes()
