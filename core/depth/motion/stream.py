"""Depth of one key frame after the other, from what came before: causal, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32
from torch import Tensor

from core.depth.motion.camera.focal_length import AngleOfView
from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.frame_depth import FrameDepth, begin, go_on
from core.depth.motion.picture import Grey, Picture
from core.geometry.optical_flow import grey_flow

_NEAREST, _FARTHEST = 0.8, 0.2
"""Relative inverse depths at the bottom and at the top of a picture that nothing is known of."""

EstimateFlow = Callable[[Grey, Grey], Float32[np.ndarray, "h2 w2 2"]]
"""Displacements (u, v) in pixels of the first picture's pixels until the second one, such as
:func:`core.geometry.optical_flow.grey_flow`."""
SinglePicture = Callable[[], Float32[np.ndarray, "h2 w2"]]
"""Gives inverse depth, in [0, 1], from a picture alone."""


@dataclass(frozen=True)
class MotionState:
    """All that a stream remembers; its size does not grow."""

    newest: Grey | None = None
    """The newest key frame."""
    found: FrameDepth | None = None
    """Its depth."""
    angle: AngleOfView = field(default_factory=AngleOfView)
    """Of the camera."""

    @property
    def is_scaled(self) -> bool:
        """Whether depth comes from motion."""
        return self.found is not None and bool(self.found.is_scaled)


class MotionDepth:
    """Relative inverse depth of a stream of key frames, from the parallax of its own camera.

    Inverse depths of a shot are in one unit, also after they are normalised: :attr:`near` of the
    state changes slowly.

    Args:
        fov: Angle of view along the longer side of the frames, degrees. By default it is estimated
            from the matches, from a usual one on, and then kept.
        flow: Gives the flow between two grey pictures. By default a session takes that of its
            network's matcher, if it has one, and everything else OpenCV's DIS.
    """

    def __init__(self, *, fov: float | None = None, flow: EstimateFlow | None = None) -> None:
        self.fov = fov
        """As given."""
        self.flow = flow
        """As given."""
        self.state = MotionState(angle=AngleOfView(fov))
        """May be set to what it was before."""

    def reset(self) -> None:
        """Forget what came before: the next key frame may be that of another camera."""
        self.state = MotionState(angle=AngleOfView(self.fov))

    def end_shot(self) -> None:
        """Forget all but a guess of the angle of view: the next key frame begins a new shot."""
        self.state = MotionState(angle=self.state.angle.after_cut())

    def push(
        self, picture: Picture, single: SinglePicture | None = None
    ) -> Float[Tensor, "h w"] | None:
        """Take the next key frame and return its relative inverse depth in [0, 1].

        None as long as the shot has no parallax. Where the camera stops later on, the depth of the
        key frame before is carried along the flow.

        Args:
            picture: Of :func:`~core.depth.motion.picture.working_picture`; one size for the whole
                stream.
            single: Gives the frame's inverse depth from the picture alone, in [0, 1] and of any
                size. It is asked for the first frame of a shot, and where much of a frame was not
                seen before. By default a slope from the bottom, near, to the top, far.
        """
        self.advance(picture, single)
        found = self.state.found
        return found.relative if found is not None and found.is_scaled else None

    @torch.inference_mode()
    def advance(self, picture: Picture, single: SinglePicture | None = None) -> DepthMap:
        """Take the next key frame and return its depth in the unit of the shot; see ``push``.

        Before there is parallax it is that of the picture alone.
        """
        height, width = picture.map_size

        def alone() -> Float[Tensor, "h w"]:
            values = slope(height, width).numpy() if single is None else single()
            small = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
            return torch.from_numpy(small)

        grey, newest, found = picture.grey, self.state.newest, self.state.found
        angle = self.state.angle
        if newest is None or found is None:
            found = begin(alone(), picture.image, angle.begun())
        else:
            flow = self.flow or grey_flow
            there, back = flow_of_maps(flow, grey, newest), flow_of_maps(flow, newest, grey)
            camera = Camera.of_fov(height, width, angle.supposed)
            found = go_on(found, there, back, picture.image, alone, camera)
            angle = angle.after(found.focal)
            if angle.fov is not None:
                found = replace(found, focal=None)
        self.state = MotionState(grey, found, angle)
        return found.shown


def flow_of_maps(flow: EstimateFlow, first: Grey, second: Grey) -> Float[Tensor, "2 h w"]:
    """Return a flow averaged over the pixels of the maps, and counted in these."""
    height, width = (side // 2 for side in first.shape)
    small = cv2.resize(flow(first, second), (width, height), interpolation=cv2.INTER_AREA)
    return rearrange(torch.from_numpy(small), "h w uv -> uv h w") / 2


def slope(height: int, width: int, device: torch.device | str = "cpu") -> Float[Tensor, "h w"]:
    """Return the inverse depth of a picture that nothing is known of: near below, far above."""
    rows = torch.linspace(_FARTHEST, _NEAREST, height, device=device)
    return rows[:, None].expand(height, width)
