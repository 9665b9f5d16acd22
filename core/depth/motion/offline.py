"""Depth of a whole clip, which is looked at from both ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from core.depth.motion.depth_map import DepthMap, fuse
from core.depth.motion.picture import Picture
from core.depth.motion.stream import EstimateFlow, MotionDepth

_WINDOW = 15
"""Frames before and after over which the unit of the way back is compared with that of the way
there."""
_KNOWN = 25.0
"""Relative certainty (a deviation of a fifth) from which on a depth is compared; it also has a
confidence of a half."""
_NEAR_PERCENTILE = 99.5


def clip_depth(
    pictures: Sequence[Picture], *, fov: float, flow: EstimateFlow
) -> list[DepthMap] | None:
    """Return the depth of every frame of a clip, all in one unit.

    The clip goes through :class:`MotionDepth` once forwards and once backwards; where both know a
    depth, it is their mean, weighted by certainty. Memory grows with the clip, by 0.6 MB a frame.

    Args:
        pictures: As :func:`core.depth.motion.picture.working_picture` makes them.
        fov: Angle of view along the longer side, degrees.
        flow: Gives the flow between two pictures.

    Returns:
        None if the camera of most frames has no parallax.
    """
    there, scaled = _one_way(pictures, fov, flow)
    back, scaled_back = _one_way(pictures[::-1], fov, flow)
    back.reverse()
    known = np.array(scaled) | np.array(scaled_back[::-1])
    if 2 * known.sum() < len(pictures):
        return None
    ratios = np.array([_unit_ratio(a, b) for a, b in zip(there, back, strict=True)])
    return [
        fuse(_in_unit(after, _local_median(ratios, i)), before)
        for i, (before, after) in enumerate(zip(there, back, strict=True))
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


def _one_way(
    pictures: Sequence[Picture], fov: float, flow: EstimateFlow
) -> tuple[list[DepthMap], list[bool]]:
    stream = MotionDepth(fov=fov, flow=flow)
    depths: list[DepthMap] = []
    scaled: list[bool] = []
    for picture in pictures:
        depths.append(stream.advance(picture))
        scaled.append(stream.state.is_scaled)
    return depths, scaled


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
