"""Curved paths: the key frames before and after a pair show how what moves between them bends.

Two frames do not tell how things move from one to the other. Three and four do: the mean of the
accelerations at both ends of a pair (quadratic paths: Xu et al., Quadratic Video Interpolation,
2019), or the one at its beginning where nothing comes after.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.models.matching.sampling import follow

_SHARE = 0.9
"""Part of the mean acceleration at both ends by which a path bends."""
_SHARE_ALONE = 0.7
"""Part of the acceleration where only one end shows it."""
_MISMATCH_PX = 15.0
"""Distance between a place and where the way forth and back leads at which trust is 1/e."""


def curve_motion(
    motion: Float[Tensor, "b n2 2 3"],
    before: Float[Tensor, "b n2 2 3"],
    after: Float[Tensor, "b n2 2 3"],
    durations: Float[Tensor, "b 2"],
    grid: tuple[int, int],
    image_size: tuple[int, int],
) -> Float[Tensor, "b n2 2 3"]:
    """Bend the straight paths of pairs; their ends stay where they are.

    Motion is that of the Gaussians of a first key frame, row-major on ``grid``, then of those of
    the second one: coefficients of the time and of its square, in units of the pair's duration.

    Args:
        motion: That of the pairs, straight.
        before: That of the pairs that end where these begin.
        after: That of the pairs that begin where these end.
        durations: How long ``before`` and ``after`` last, in units of the pair's duration; 0
            where there is none, whatever its motion.
        grid: Rows and columns of a key frame's Gaussians.
        image_size: Height and width of the frames.
    """
    pairs = torch.stack((motion, before, after))
    forth, back = _flows(pairs, grid, image_size)  # (3, b, 2, h, w) each
    # From the first key frame and from the second: within the pair, then away from it.
    leaving = torch.stack((forth[0], back[0], back[1], forth[2]))
    trusts = _trusts(leaving, torch.stack((back[0], forth[0], forth[1], back[2])), image_size)
    lasting = durations.T[..., None, None, None]  # (2, b, 1, 1, 1)
    divisors = torch.where(lasting > 0, lasting, 1.0)
    # Half the acceleration of the paths through three key frames, at the middle one.
    bends = (leaving[:2] + leaving[2:] / divisors) / (1 + divisors)
    trust = trusts[:2] * trusts[2:] * (lasting > 0)
    own = torch.cat((bends, trust), dim=2)
    other = _follow(own.flip(0), leaving[:2], image_size)
    other_trust = trusts[:2] * other[:, :, 2:]
    most, least = torch.maximum(trust, other_trust), torch.minimum(trust, other_trust)
    mean = (trust * bends + other_trust * other[:, :, :2]) / (most + least).clamp(min=1e-6)
    bend = most * torch.lerp(_SHARE_ALONE * mean, _SHARE * mean, least)
    u, v = rearrange(bend, "pair b uv h w -> uv b (pair h w)")
    height, width = image_size
    squared = torch.stack((u * (2 / width), torch.zeros_like(u), v * (-2 / height)), dim=-1)
    # The first frame's Gaussians arrive at time 1, the second's come from time -1.
    ahead, behind = squared.chunk(2, dim=1)
    return torch.stack((motion[:, :, 0] + torch.cat((-ahead, behind), dim=1), squared), dim=2)


def _flows(
    motion: Float[Tensor, "a b n2 2 3"], grid: tuple[int, int], image_size: tuple[int, int]
) -> tuple[Float[Tensor, "a b 2 h w"], Float[Tensor, "a b 2 h w"]]:
    """Return the flow from the first key frames to the second and back, in pixels."""
    height, width = image_size
    x, _, z = rearrange(
        motion, "a b (pair h w) k xyz -> xyz pair k a b h w", pair=2, h=grid[0], w=grid[1]
    )
    first, second = torch.stack((x * (width / 2), z * (-height / 2)), dim=-3)
    return first[0] + first[1], second[1] - second[0]


def _trusts(
    there: Float[Tensor, "a b 2 h w"], back: Float[Tensor, "a b 2 h w"], image_size: tuple[int, int]
) -> Float[Tensor, "a b 1 h w"]:
    """Return how well each place is met again by following a flow there, and another one back."""
    miss = there + _follow(back, there, image_size)
    return torch.exp(-miss.square().sum(dim=2, keepdim=True) / _MISMATCH_PX**2)


def _follow(
    values: Float[Tensor, "a b c h w"],
    flow: Float[Tensor, "a b 2 h w"],
    image_size: tuple[int, int],
) -> Float[Tensor, "a b c h w"]:
    found = follow(values.flatten(0, 1), flow.flatten(0, 1), image_size)
    return found.unflatten(0, values.shape[:2])
