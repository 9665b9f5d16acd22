"""Depth of one key frame from its flow to the one before and from what was known of that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.camera.focal_length import FocalEstimate
from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.carrying import carry
from core.depth.motion.deciding import where_needed
from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.filling import complete, fill, guess, keep
from core.depth.motion.matching import Matches, match, no_matches
from core.depth.motion.poses.localization import localize
from core.depth.motion.refinement import refine, without_surroundings
from core.depth.motion.texture import gradient, halve, structure
from core.depth.motion.triangulation import triangulate
from core.types import TensorDataclass

_PARTNERS = 4
"""Earlier key frames that each one is compared with."""
_ENDS = slice(None, None, _PARTNERS - 1)
"""The newest and the oldest of them, by which depth is refined: more say the same again."""
_SMALLEST_OVERLAP = 0.1
"""Share of matched pixels below which the key frame before shows something else."""
_MUCH = 0.2
"""Share of pixels that were not seen before, from which on the picture alone is asked."""
_MOST_CONTRADICTIONS = 2
"""Key frames that may contradict a static world before depth from motion is given up."""
_FADE = 0.98
_NEAR_SHARE = 0.01
_SMALLEST_NEAR = 1e-3


@dataclass(frozen=True)
class FrameDepth(TensorDataclass):
    """Depth of the newest key frame, with all that the next one needs."""

    shown: DepthMap
    """Without holes and outliers."""
    kept: DepthMap
    """As the next key frame takes it on."""
    picture: Float[Tensor, "h w"]
    """Its grey levels, less those around them."""
    matches: Matches
    """Where its pixels were seen before."""
    is_scaled: Bool[Tensor, ""]
    """Whether depth comes from motion."""
    near: Float[Tensor, ""]
    """Inverse depth that is shown as 1."""
    contradictions: Float[Tensor, ""]
    """How many of the newest key frames, one after the other, contradict a static world."""
    focal: FocalEstimate | None
    """What is known of the focal length; None where the camera's is the true one."""

    @property
    def relative(self) -> Float[Tensor, "h w"]:
        """Inverse depth in [0, 1]; zeros as long as it does not come from motion."""
        return (self.shown.inverse_depth / self.near).clamp(0, 1) * self.is_scaled


def begin(
    alone: Float[Tensor, "h w"],
    image: Float[Tensor, "3 h2 w2"],
    focal: FocalEstimate | None = None,
) -> FrameDepth:
    """Return the depth of a shot's first key frame: that of the picture alone.

    Args:
        alone: Inverse depth from the picture alone, in [0, 1].
        image: RGB in [0, 1], twice the size of the maps.
        focal: What is known of the focal length; by default that of the camera is the true one.
    """
    return _begun(alone, without_surroundings(grey_levels(halve(image))), focal)


def _begun(
    alone: Float[Tensor, "h w"], picture: Float[Tensor, "h w"], focal: FocalEstimate | None
) -> FrameDepth:
    depth, zero = guess(alone), alone.new_zeros(())
    matches = no_matches(_PARTNERS, alone)
    return FrameDepth(depth, depth, picture, matches, zero > 0, zero + 1, zero, focal)


def grey_levels(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Return grey levels up to 255."""
    red, green, blue = image
    return 255 * (0.299 * red + 0.587 * green + 0.114 * blue)


def go_on(
    before: FrameDepth,
    there: Float[Tensor, "2 h w"],
    back: Float[Tensor, "2 h w"],
    image: Float[Tensor, "3 h2 w2"],
    alone: Callable[[], Float[Tensor, "h w"]],
    camera: Camera,
) -> FrameDepth:
    """Return the depth of the next key frame of a shot.

    Args:
        before: Depth of the key frame before.
        there: Flow from the key frame to the one before, in pixels of the maps.
        back: Flow from that one to the key frame.
        image: RGB in [0, 1], twice the size of the maps.
        alone: Gives inverse depth from the picture alone, in [0, 1]; asked, on the CPU, where a
            shot begins anew or much is new only.
        camera: The camera of the maps; where the focal length is estimated, with the usual one.
    """
    if before.focal is not None:
        camera = camera.scaled(before.focal.ratio)
    small = halve(image)
    grey = grey_levels(small)
    picture, change = without_surroundings(grey), gradient(grey)
    texture = structure(change)
    matches, known = match(there, back, before.kept, before.picture, before.matches, camera)
    found = localize(matches, texture, known, camera, before.is_scaled, before.focal)
    is_matched = matches.trust[0] > 0
    moves = found.has_parallax
    pose = found.pose.map(lambda value: value[0])
    carried = carry(known, is_matched, pose, camera.rays(there.device), ~moves)

    def renewed() -> DepthMap:
        matched = triangulate(matches, texture, found.pose, camera)
        ends, poses = matches.select(_ENDS), found.pose.select(_ENDS)
        return fuse(carried, refine(matched, ends, poses, picture, change, camera))

    seen = where_needed(moves, renewed, carried)
    much_is_new = (seen.certainty == 0).float().mean() > _MUCH
    depth = where_needed(before.is_scaled & much_is_new, lambda: complete(seen, alone()), seen)
    filled = fill(depth, small)
    kept = keep(depth, filled, sure_only=moves)
    shown = where_needed(moves, lambda: filled, kept)
    contradictions = (before.contradictions + 1) * found.is_contradicted
    near = torch.maximum(_nearest(shown), _FADE * before.near)
    is_scaled = before.is_scaled | moves
    following = FrameDepth(
        shown, kept, picture, matches, is_scaled, near, contradictions, found.focal
    )
    is_other = is_matched.float().mean() < _SMALLEST_OVERLAP
    begins = is_other | (contradictions > _MOST_CONTRADICTIONS)
    return where_needed(begins, lambda: _begun(alone(), picture, found.focal), following)


def _nearest(depth: DepthMap) -> Float[Tensor, ""]:
    """Return the inverse depth that the nearest hundredth of the picture exceeds."""
    samples = depth.inverse_depth[::4, ::4].flatten()
    count = max(1, round(_NEAR_SHARE * len(samples)))
    return samples.topk(count).values[-1].clamp_min(_SMALLEST_NEAR)
