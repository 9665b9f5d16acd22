"""Depth of one key frame after the other, from what came before: causal, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32

from core.depth.motion.camera import Camera
from core.depth.motion.carrying import carry
from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.field_of_view import USUAL_FOV
from core.depth.motion.filling import complete, fill, guess, keep
from core.depth.motion.localization import localize
from core.depth.motion.matching import EstimateFlow, Matches, match
from core.depth.motion.picture import Grey, Picture
from core.depth.motion.texture import Texture
from core.depth.motion.triangulation import triangulate
from core.geometry.optical_flow import grey_flow

_RING = 4
"""Most key frames that are kept besides the newest."""
_RING_STEP_PX = 1.5
"""Median motion, in pixels of the maps, between key frames of the ring."""
_SMALLEST_OVERLAP = 0.1
"""Share of matched pixels below which the key frame before shows something else."""
_MUCH = 0.2
"""Share of pixels that were not seen before, from which on the picture alone is asked."""
_MOST_CONTRADICTIONS = 2
"""Key frames that may contradict a static world before depth from motion is given up."""
_FADE = 0.98
_NEAR_PERCENTILE = 99.0
_NEAREST, _FARTHEST = 0.8, 0.2
"""Relative inverse depths at the bottom and at the top of a picture that nothing is known of."""

SinglePicture = Callable[[], Float32[np.ndarray, "h2 w2"]]
"""Gives inverse depth, in [0, 1], from a picture alone."""


@dataclass(frozen=True)
class MotionState:
    """All that a stream remembers; its size does not grow."""

    newest: Grey | None = None
    """The newest key frame."""
    ring: tuple[Grey, ...] = ()
    """Earlier ones, between which something moved, the oldest first."""
    depth: DepthMap | None = None
    """Depth of the newest."""
    is_scaled: bool = False
    """Whether it comes from motion."""
    near: float = 1.0
    """Inverse depth that is shown as 1."""
    contradictions: int = 0
    """How many of the newest key frames, one after the other, contradict a static world."""


class MotionDepth:
    """Relative inverse depth of a stream of key frames, from the parallax of its own camera.

    Inverse depths of a shot are in one unit, also after they are normalised: :attr:`near` of the
    state changes slowly.

    Args:
        fov: Angle of view along the longer side of the frames, degrees.
        flow: Gives the flow between two grey pictures.
    """

    def __init__(self, *, fov: float = USUAL_FOV, flow: EstimateFlow = grey_flow) -> None:
        self._fov = fov
        self._flow = flow
        self.state = MotionState()
        """May be set to what it was before."""

    def reset(self) -> None:
        """Forget what came before: the next key frame begins a new shot."""
        self.state = MotionState()

    def push(
        self, picture: Picture, single: SinglePicture | None = None
    ) -> Float32[np.ndarray, "h w"] | None:
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
        depth = self.advance(picture, single)
        if not self.state.is_scaled:
            return None
        shown = np.clip(depth.inverse_depth / np.float32(self.state.near), 0, 1)
        return np.ascontiguousarray(shown, np.float32)

    def advance(self, picture: Picture, single: SinglePicture | None = None) -> DepthMap:
        """Take the next key frame and return its depth in the unit of the shot; see ``push``.

        Before there is parallax it is that of the picture alone.
        """
        grey = picture.grey
        camera = self._camera(picture)
        if self.state.newest is None or self.state.depth is None:
            return self._begin(grey, single, camera)
        partners = self._partners()
        matches = [match(grey, partner, camera, self._flow) for partner in partners]
        if (matches[0].trust > 0).mean() < _SMALLEST_OVERLAP:
            return self._begin(grey, single, camera)
        return self._go_on(picture, matches, single, camera)

    def _begin(self, grey: Grey, single: SinglePicture | None, camera: Camera) -> DepthMap:
        depth = guess(_alone(single, camera))
        self.state = MotionState(newest=grey, depth=depth)
        return depth

    def _partners(self) -> list[Grey]:
        """Return the newest key frame, and earlier ones that saw the scene from further away."""
        state = self.state
        assert state.newest is not None
        ring = state.ring
        return [state.newest, *(ring[-age] for age in (1, 3) if age <= len(ring))]

    def _go_on(
        self,
        picture: Picture,
        matches: list[Matches],
        single: SinglePicture | None,
        camera: Camera,
    ) -> DepthMap:
        state = self.state
        assert state.depth is not None
        assert state.newest is not None
        texture = Texture(picture.grey, camera)
        found = localize(matches, texture.corners, state.depth, camera, is_scaled=state.is_scaled)
        contradictions = state.contradictions + 1 if found.is_contradicted else 0
        if contradictions > _MOST_CONTRADICTIONS:
            return self._begin(picture.grey, single, camera)
        depth = carry(
            state.depth, matches[0], found.poses[0], camera, is_still=not found.has_parallax
        )
        if found.has_parallax:
            held = [
                (texture.along_epipolar_lines(m, pose), pose)
                for m, pose in zip(matches, found.poses, strict=True)
            ]
            depth = fuse(depth, triangulate(held, camera))
        if state.is_scaled and (depth.certainty == 0).mean() > _MUCH:
            depth = complete(depth, _alone(single, camera))
        filled = fill(depth, picture.colors)
        kept = keep(depth, filled, sure_only=found.has_parallax)
        shown = filled if found.has_parallax else kept
        near = float(np.percentile(shown.inverse_depth[::4, ::4], _NEAR_PERCENTILE))
        self.state = replace(
            state,
            newest=picture.grey,
            ring=self._ring(matches),
            depth=kept,
            is_scaled=state.is_scaled or found.has_parallax,
            near=max(near, _FADE * state.near),
            contradictions=contradictions,
        )
        return shown

    def _ring(self, matches: list[Matches]) -> tuple[Grey, ...]:
        """Return the ring, with the key frame before if enough has moved since its newest."""
        state = self.state
        assert state.newest is not None
        if not state.ring:
            return (state.newest,)
        seen = matches[1].trust[::4, ::4] > 0
        moved = np.linalg.norm(matches[1].flow[::4, ::4][seen], axis=-1)
        if len(moved) and np.median(moved) < _RING_STEP_PX:
            return state.ring
        return (*state.ring, state.newest)[-_RING:]

    def _camera(self, picture: Picture) -> Camera:
        height, width = picture.rgb.shape[:2]
        known = self._known_camera
        if known is None or (known.height, known.width) != (height, width):
            self._known_camera = known = Camera.of_fov(height, width, self._fov)
        return known

    _known_camera: Camera | None = None


def _alone(single: SinglePicture | None, camera: Camera) -> Float32[np.ndarray, "h w"]:
    """Return the inverse depth that a picture alone suggests."""
    if single is not None:
        return cv2.resize(single(), (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return slope(camera.height, camera.width)


def slope(height: int, width: int) -> Float32[np.ndarray, "h w"]:
    """Return the inverse depth of a picture that nothing is known of: near below, far above."""
    rows = np.linspace(_FARTHEST, _NEAREST, height, dtype=np.float32)
    return np.repeat(rows[:, None], width, axis=1)
