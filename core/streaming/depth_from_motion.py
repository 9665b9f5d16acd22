"""Depth from motion of the key frames of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float32
from torch import Tensor

from core.depth.motion import MotionDepth
from core.depth.motion.camera.focal_length import AngleOfView
from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.frame_depth import FrameDepth, begin, go_on
from core.depth.motion.picture import working_picture, working_size
from core.depth.motion.stream import slope
from core.geometry.fit import FrameFit
from core.geometry.resample import resize
from core.streaming.key_frames import Seen
from core.streaming.pair_model import MatchingModel
from core.types import TensorDataclass


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
            own = self.own_depth(resize(native, fit.model_size))
            return _alone(own[None, None]).cpu().numpy()

        small = resize(native, working_size(*fit.input_size))[0].clamp(0, 1)
        pixels = rearrange((small * 255).round().byte(), "c h w -> h w c").cpu().numpy()
        found = self.motion.push(working_picture(pixels), alone)
        if found is None:
            return None
        return fit.to_model(resize(found[None, None].to(native.device), fit.input_size))


@dataclass(frozen=True)
class MatchedState:
    """All that is remembered of a stream."""

    features: TensorDataclass | None = None
    """What is matched of the newest key frame."""
    found: FrameDepth | None = None
    """Its depth."""
    angle: AngleOfView = field(default_factory=AngleOfView)
    """Of the camera."""


class MatchedMotion:
    """Finds depth of key frames from the matches of a network, which needs them in any case.

    All of it runs where the network does, without the host having to wait for a GPU; but now and
    then for the angle of view, until it is kept.

    Args:
        fov: Angle of view along the longer side of the frames, degrees; estimated by default.
    """

    def __init__(self, fov: float | None = None) -> None:
        self._fov = fov
        self._recorded_for: tuple[FrameFit, float | None] | None = None
        self._go_on: Callable[[FrameDepth, Tensor, Tensor, Tensor], FrameDepth]
        self.state = MatchedState(angle=AngleOfView(fov))
        """May be set to what it was before."""

    def reset(self) -> None:
        """Forget what came before: the next key frame may be that of another camera."""
        self.state = MatchedState(angle=AngleOfView(self._fov))

    def end_shot(self) -> None:
        """Forget all but a guess of the angle of view: the next key frame begins a new shot."""
        self.state = MatchedState(angle=self.state.angle.after_cut())

    def see(self, matching: MatchingModel, image: Float[Tensor, "1 3 h w"], fit: FrameFit) -> Seen:
        """Take the next key frame, as it enters the model."""
        features = matching.see(image)
        own = matching.own_inverse_depths(features)
        before, found, matches = self.state.features, self.state.found, None
        angle = self.state.angle
        if before is None or found is None:
            found = begin(_alone(own), image[0], angle.begun(image.device))
        else:
            matches = matching.match(before, features)
            if self._recorded_for != (fit, angle.fov):
                self._recorded_for = (fit, angle.fov)
                self._go_on = matching.accelerate(motion_steps(fit, angle.supposed))
            found = self._go_on(found, matches.flow, image, own)
            angle = angle.after(found.focal, keeps=not matching.compiles)
            if angle.fov is not None:
                found = replace(found, focal=None)
        self.state = MatchedState(features, found, angle)
        # What the network averages over the cells of its grid is there already.
        depth = F.interpolate(found.relative[None, None], fit.model_size, mode="nearest")
        return Seen(features, before, matches, depth)


def motion_steps(
    fit: FrameFit, fov: float
) -> Callable[[FrameDepth, Tensor, Tensor, Tensor], FrameDepth]:
    """Return the work on one key frame, as a function of tensors that can be recorded."""

    def steps(before: FrameDepth, flow: Tensor, image: Tensor, own: Tensor) -> FrameDepth:
        size = (flow.shape[-2], flow.shape[-1])
        back, there = flow.float() * (size[1] / image.shape[-1])
        camera = Camera.of_fit(fit, size, fov)
        return go_on(before, there, back, image[0], lambda: _alone(own), camera)

    return steps


def _alone(own: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "h w"]:
    """Return the depth that a picture alone suggests; the two errors make up for each other."""
    height, width = own.shape[-2:]
    return (own[0, 0].float() + slope(height, width, own.device)) / 2
