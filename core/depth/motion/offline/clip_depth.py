"""Depth of a whole clip, which is looked at from both ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.offline.clip_motion import ClipMotion, Seen
from core.depth.motion.picture import Picture
from core.depth.motion.stream import EstimateFlow

_WINDOW = 15
"""Frames before and after over which the unit of the way back is compared with that of the way
there."""
_KNOWN = 25.0
"""Relative certainty (a deviation of a fifth) from which on a depth is compared; it also has a
confidence of a half."""
_NEAR_PERCENTILE = 99.5


def clip_depth(
    pictures: Sequence[Picture], *, fov: float | None = None, flow: EstimateFlow
) -> list[DepthMap] | None:
    """Return the depth of every frame of a clip, all in one unit.

    Frame after frame, the clip is looked at backwards, then forwards from the depth that
    its first frame has then, then backwards from that of its last. Where the latter two know a
    depth, it is their mean, weighted by certainty. Then each frame is matched with others that are
    farther away, and takes what these say, too. Memory grows with the clip, by 2 MB a frame.

    Args:
        pictures: As :func:`core.depth.motion.picture.working_picture` makes them.
        fov: Angle of view along the longer side, degrees. By default it is estimated from the
            matches of the whole clip.
        flow: Gives the flow between two pictures.

    Returns:
        None if the camera of most frames has no parallax.
    """
    clip = ClipMotion(pictures, fov=fov, flow=flow)
    order = range(len(pictures))
    _, first = clip.one_way(order[::-1])
    there, last = clip.one_way(order, first)
    back, _ = clip.one_way(order[::-1], last)
    ways = list(zip(there, back[::-1], strict=True))
    if 2 * sum(a.is_scaled or b.is_scaled for a, b in ways) < len(pictures):
        return None
    ratios = np.array([_unit_ratio(a.depth, b.depth) for a, b in ways])
    joined = [_joined(a, b, _local_median(ratios, i)) for i, (a, b) in enumerate(ways)]
    return [
        clip.looked_again(i, depth) if a.is_scaled or b.is_scaled else depth
        for i, ((a, b), depth) in enumerate(zip(ways, joined, strict=True))
    ]


def normalized(depths: Sequence[DepthMap]) -> list[Float[Tensor, "h w"]]:
    """Return inverse depths in [0, 1], by one factor for all of them."""
    nearest = [np.percentile(depth.inverse_depth.numpy(), _NEAR_PERCENTILE) for depth in depths]
    near = float(np.median(nearest))
    return [(depth.inverse_depth / near).clamp(0, 1) for depth in depths]


def confidence(depth: DepthMap) -> Float[Tensor, "h w"]:
    """Return a confidence in [0, 1]; it is 1/2 where an inverse depth deviates by a fifth of it."""
    relative = depth.relative_certainty
    return relative / (relative + _KNOWN)


def _joined(there: Seen, back: Seen, unit: float) -> DepthMap:
    """Return the mean of both ways; where only one depth comes from motion, that."""
    before, after = there.depth, _in_unit(back.depth, unit)
    if there.is_scaled == back.is_scaled:
        return fuse(after, before)
    return before if there.is_scaled else after


def _unit_ratio(before: DepthMap, after: DepthMap) -> float:
    """Return the unit of the first map in that of the second; nan where nothing can be compared."""
    known = (before.relative_certainty > _KNOWN) & (after.relative_certainty > _KNOWN)
    known &= (before.inverse_depth > 0) & (after.inverse_depth > 0)
    if known.float().mean() < 0.05:
        return float("nan")
    return float((before.inverse_depth[known] / after.inverse_depth[known]).median())


def _local_median(ratios: Float[np.ndarray, " t"], place: int) -> float:
    nearby = ratios[max(0, place - _WINDOW) : place + _WINDOW + 1]
    nearby = nearby[np.isfinite(nearby)]
    return float(np.median(nearby)) if len(nearby) else 1.0


def _in_unit(depth: DepthMap, unit: float) -> DepthMap:
    return DepthMap(depth.inverse_depth * unit, depth.certainty / (unit * unit))
