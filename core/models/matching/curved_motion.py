"""Curved paths: how what the last key frames show has moved bends its way to the next one.

Two frames do not tell how things move between them. With the frames before, paths get the
acceleration that has been seen. Quadratic paths: Xu et al., Quadratic Video Interpolation (2019),
who also look at a frame after the pair, which a stream does not have.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.models.matching.sampling import follow

_NEWEST, _OLD = 0.85, -0.2
"""Parts of the acceleration within a pair that those at its first key frame and the one before
predict."""
_NEWEST_ALONE = 0.7
"""The same where only the first is known."""
_MISMATCH_PX = 15.0
"""Distance between a place and where the way forth and back leads at which trust is 1/e."""


def curve_motion(
    motion: Float[Tensor, "b n2 2 3"],
    before: Float[Tensor, "b n2 2 3"],
    earlier: Float[Tensor, "b n2 2 3"],
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
        earlier: That of the pairs that end where those begin.
        durations: How long ``before`` and ``earlier`` last, in units of the pair's duration; 0
            where there is none, whatever its motion.
        grid: Rows and columns of a key frame's Gaussians.
        image_size: Height and width of the frames.
    """
    pairs = torch.stack((motion, before, earlier))  # (3, b, n2, 2, 3)
    forth, back = _flows(pairs, grid, image_size)  # (3, b, 2, h, w) each
    trust_forth, trust_back = _trusts(forth, back, image_size)
    # The paths through the last two key frames that a pair begins with.
    lasted = F.pad(durations, (1, 0), value=1.0).T[..., None, None, None]  # (3, b, 1, 1, 1)
    divisors = torch.where(lasted > 0, lasted, 1.0)
    speed_forth, speed_back = forth / divisors, back / divisors
    bends = (speed_back[1:] + speed_forth[:2]) / (divisors[1:] + divisors[:2])
    trusts = trust_back[1:] * trust_forth[:2] * (lasted[1:] > 0)
    newest, old = bends
    shown = follow(torch.cat((old, trusts[1]), dim=1), back[1], image_size)
    old, old_trust = shown[:, :2], shown[:, 2:] * trust_back[1]
    expected = torch.lerp(_NEWEST_ALONE * newest, _NEWEST * newest + _OLD * old, old_trust)
    bend = trusts[0] * expected
    # What the second frame shows moves as the first one shows it where it comes from.
    own = torch.stack((bend, trust_back[0] * follow(bend, back[0], image_size)), dim=1)
    u, v = rearrange(own, "b pair uv h w -> uv b (pair h w)")
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
    forth: Float[Tensor, "a b 2 h w"], back: Float[Tensor, "a b 2 h w"], image_size: tuple[int, int]
) -> tuple[Float[Tensor, "a b 1 h w"], Float[Tensor, "a b 1 h w"]]:
    """Return how well each place of either frame is met again by following both flows."""
    ways, ways_back = torch.stack((forth, back)), torch.stack((back, forth))
    there = ways.flatten(0, 2)
    miss = there + follow(ways_back.flatten(0, 2), there, image_size)
    trust = torch.exp(-miss.square().sum(dim=1, keepdim=True) / _MISMATCH_PX**2)
    of_forth, of_back = trust.unflatten(0, ways.shape[:3])
    return of_forth, of_back
