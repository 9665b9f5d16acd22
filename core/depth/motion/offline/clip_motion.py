"""Motion between any two frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.camera.field_of_view import USUAL_FOV
from core.depth.motion.camera.focal_length import FocalEstimate
from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.filling import fill
from core.depth.motion.frame_depth import FrameDepth, begin, go_on, grey_levels
from core.depth.motion.matching import direct_matches, no_matches
from core.depth.motion.picture import Picture
from core.depth.motion.poses.localization import locate
from core.depth.motion.refinement import refine, without_surroundings
from core.depth.motion.stream import EstimateFlow, flow_of_maps, slope
from core.depth.motion.texture import gradient, halve, structure
from core.depth.motion.triangulation import triangulate

_FAR = (-16, -8, 8, 16)
"""Where the partners are with which a frame is matched directly."""
_SMALLEST_OVERLAP = 0.3
"""Share of a frame that a partner must see."""


@dataclass(frozen=True)
class Seen:
    """Depth of a frame, looked at from one end of the clip."""

    depth: DepthMap
    is_scaled: bool
    """Whether it comes from motion."""


class ClipMotion:
    """Looks at the frames of a clip one after the other, and at pairs that are far apart.

    Args:
        pictures: The frames.
        fov: Angle of view along the longer side, degrees; None estimates it.
        flow: Gives the flow between two pictures; each pair is asked for once.
    """

    def __init__(
        self, pictures: Sequence[Picture], *, fov: float | None, flow: EstimateFlow
    ) -> None:
        self._pictures = pictures
        self._camera = Camera.of_fov(*pictures[0].map_size, fov or USUAL_FOV)
        self._focal = FocalEstimate.usual() if fov is None else None
        self._estimate = flow
        self._flows: dict[tuple[int, int], Float[Tensor, "2 h w"]] = {}

    @torch.inference_mode()
    def one_way(
        self, order: Sequence[int], start: FrameDepth | None = None
    ) -> tuple[list[Seen], FrameDepth]:
        """Return the depth of frames, each from those before; of the last one all that is known.

        An angle of view that is estimated becomes better from time to time.

        Args:
            order: Places of the frames, one beside the other.
            start: Depth of the first one; by default, and where it does not come from motion, a
                slope is the first guess.
        """
        alone = slope(*self._pictures[0].map_size).contiguous()
        if start is None or not start.is_scaled:
            found = begin(alone, self._pictures[order[0]].image, self._focal)
        else:
            found = replace(start, matches=no_matches(len(start.matches.trust), alone))
        results = [Seen(found.shown, bool(found.is_scaled))]
        for before, now in pairwise(order):
            there, back = self._flow(now, before), self._flow(before, now)
            image = self._pictures[now].image
            found = go_on(found, there, back, image, lambda: alone, self._camera)
            results.append(Seen(found.shown, bool(found.is_scaled)))
        self._focal = found.focal
        return results, found

    @torch.inference_mode()
    def looked_again(self, place: int, known: DepthMap) -> DepthMap:
        """Return the depth of a frame with what partners that are far away say of it.

        Args:
            place: Which frame.
            known: Its depth.
        """
        others = [place + step for step in _FAR if 0 <= place + step < len(self._pictures)]
        if not others:
            return known
        matches = direct_matches(
            torch.stack([self._flow(place, other) for other in others]),
            torch.stack([self._flow(other, place) for other in others]),
            torch.stack([without_surroundings(self._grey(other)) for other in others]),
            self._camera,
        )
        matches = matches.select((matches.trust > 0).float().mean(dim=(1, 2)) > _SMALLEST_OVERLAP)
        if not len(matches.trust):
            return known
        camera = self._camera if self._focal is None else self._camera.scaled(self._focal.ratio)
        grey = self._grey(place)
        picture, change = without_surroundings(grey), gradient(grey)
        texture = structure(change)
        pose = locate(matches, texture, known, camera)
        matched = triangulate(matches, texture, pose, camera)
        seen = fuse(known, refine(matched, matches, pose, picture, change, camera))
        return fill(seen, halve(self._pictures[place].image))

    def _grey(self, place: int) -> Float[Tensor, "h w"]:
        return grey_levels(halve(self._pictures[place].image))

    def _flow(self, first: int, second: int) -> Float[Tensor, "2 h w"]:
        """Return the flow between two frames, which is kept in half precision."""
        pair = (first, second)
        if pair not in self._flows:
            greys = (self._pictures[place].grey for place in pair)
            self._flows[pair] = flow_of_maps(self._estimate, *greys).half()
        return self._flows[pair].float()
