"""Matches of a key frame in earlier ones: flow, and how far it can be trusted.

Flow is estimated to the key frame before only, there and back. To those before it leads on along
the flow of that key frame, which costs a look-up in place of an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.deciding import select
from core.depth.motion.depth_map import DepthMap
from core.types import TensorDataclass

_NOISE_PX = 0.3
"""Standard deviation of a flow that agrees with that of the way back."""
_NEAR_PX = 1.0
"""Mean displacement, pixels of the maps, below which a partner is left out for an older one."""
_LEAST = 1 / (_NOISE_PX**2 + 2.0**2)
"""Trust from which on a match is one: it comes home within two pixels."""


@dataclass(frozen=True)
class Matches(TensorDataclass):
    """Where the pixels of a key frame are seen in its ``p`` partners, the newest first."""

    flow: Float[Tensor, "p 2 h w"]
    """Displacement (u, v) of each pixel, pixels."""
    trust: Float[Tensor, "p h w"]
    """Its inverse variance, 1/px^2; 0 where there is no match."""
    pictures: Float[Tensor, "p h w"]
    """Grey levels of the partners, less those around them."""


def no_matches(count: int, like: Float[Tensor, "h w"]) -> Matches:
    """Return the matches of a shot's first key frame."""
    maps = like.new_zeros(count, *like.shape)
    return Matches(like.new_zeros(count, 2, *like.shape), maps, maps)


def match(
    there: Float[Tensor, "2 h w"],
    back: Float[Tensor, "2 h w"],
    before: DepthMap,
    picture: Float[Tensor, "h w"],
    older: Matches,
    camera: Camera,
) -> tuple[Matches, DepthMap]:
    """Return the matches of a key frame, and the depth of the one before where flow leads.

    That is not certain where a flow leads out of the picture.

    Args:
        there: Flow from the key frame to the one before, pixels.
        back: The other way.
        before: Depth of the key frame before.
        picture: Its grey levels, less those around them.
        older: The matches of the key frame before.
        camera: The camera of all.
    """
    number = len(older.trust) - 1
    # Partners that nearly are the key frame before would only repeat what it says.
    is_near = older.flow[0, :, ::4, ::4].square().sum(dim=0).mean() < _NEAR_PX**2
    is_near &= older.trust[-1].any()
    older = select(is_near, older.select(slice(1, None)), older.select(slice(number)))
    planes = (before.inverse_depth[None], before.certainty[None], older.trust)
    values = torch.cat((back, *planes, older.flow.flatten(0, 1)))
    read = follow(values[None], there[None], camera)[0]
    is_inside = _is_inside(there, camera)
    trust = _trust(there + read[:2]) * is_inside
    # Variances add up along the way.
    both = trust * read[4 : 4 + number] / (trust + read[4 : 4 + number]).clamp_min(_LEAST)
    further = there + read[4 + number :].unflatten(0, (number, 2))
    return (
        Matches(
            torch.cat((there[None], further)),
            torch.cat((trust[None], F.threshold(both, _LEAST, 0.0))),
            torch.cat((picture[None], older.pictures)),
        ),
        DepthMap(read[2], read[3] * is_inside),
    )


def direct_matches(
    there: Float[Tensor, "p 2 h w"],
    back: Float[Tensor, "p 2 h w"],
    pictures: Float[Tensor, "p h w"],
    camera: Camera,
) -> Matches:
    """Return the matches of a frame with partners to each of which flow was estimated.

    Args:
        there: Flow from the frame to each partner, pixels.
        back: The other way.
        pictures: Of the partners; see :class:`Matches`.
        camera: The camera of all.
    """
    trust = _trust(there + follow(back, there, camera)) * _is_inside(there, camera)
    return Matches(there, trust, pictures)


def _trust(miss: Float[Tensor, "*p 2 h w"]) -> Float[Tensor, "*p h w"]:
    """Return the trust of matches that miss their place by so much on the way home."""
    u, v = miss.unbind(-3)
    return F.threshold(1 / (u * u + v * v + _NOISE_PX**2), _LEAST, 0.0)


def _is_inside(flow: Float[Tensor, "*p 2 h w"], camera: Camera) -> Bool[Tensor, "*p h w"]:
    """Return which pixels a flow leads from the picture into the other picture."""
    edge, pixels = camera.edge(flow)[:, None, None], camera.pixels(flow.device)
    u, v = (edge - torch.maximum((pixels + flow).abs(), pixels.abs())).unbind(-3)
    return torch.minimum(u, v) >= 0


def follow(
    values: Float[Tensor, "b c h w"], flow: Float[Tensor, "b 2 h w"], camera: Camera
) -> Float[Tensor, "b c h w"]:
    """Return what values are where a flow leads, bilinearly; the border is repeated."""
    places = ((camera.pixels(flow.device) + flow) * camera.shares(flow)).permute(0, 2, 3, 1)
    return F.grid_sample(values, places, padding_mode="border", align_corners=False)
