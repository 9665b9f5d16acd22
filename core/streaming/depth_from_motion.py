"""Depth from motion of the key frames of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32
from torch import Tensor

from core.depth.motion import MotionDepth
from core.depth.motion.picture import working_picture, working_size
from core.depth.motion.stream import slope
from core.geometry.fit import FrameFit
from core.geometry.resample import resize


@dataclass(frozen=True)
class KeyFrameMotion:
    """Brings key frames to :class:`MotionDepth`, and its maps to the model."""

    motion: MotionDepth
    """What finds depth; its frames keep their proportions."""
    own_depth: Callable[[Float[Tensor, "1 3 h2 w2"]], Float[Tensor, "h3 w3"]]
    """The model's own inverse depth of a picture of its size: depth from one picture alone."""

    def __call__(
        self, native: Float[Tensor, "1 3 h w"], fit: FrameFit
    ) -> Float[Tensor, "1 1 h2 w2"] | None:
        """Take the next key frame and return its inverse depth, in [0, 1], at the model's size.

        None as long as the shot shows no parallax; then the model's own depth is as good as any.

        Args:
            native: RGB in [0, 1] at its own size.
            fit: How frames enter the model.
        """

        def alone() -> Float32[np.ndarray, "h w"]:
            own = self.own_depth(resize(native, fit.model_size)).cpu().numpy()
            return (own + slope(*own.shape)) / 2  # their errors differ, and make up for each other

        small = resize(native, working_size(*fit.input_size))[0].clamp(0, 1)
        pixels = rearrange((small * 255).round().byte(), "c h w -> h w c").cpu().numpy()
        found = self.motion.push(working_picture(pixels), alone)
        if found is None:
            return None
        depth = torch.from_numpy(found).to(native.device)
        return fit.to_model(resize(depth[None, None], fit.input_size))
