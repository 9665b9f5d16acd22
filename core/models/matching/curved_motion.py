"""Curved paths: how what the last key frames show has moved bends its way to the next one.

Two frames do not tell how things move between them. With the frames before, paths get the
acceleration that has been seen. Quadratic paths: Xu et al., Quadratic Video Interpolation (2019),
who also look at a frame after the pair, which a stream does not have.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.models.matching.sampling import follow

_NEWEST, _OLD = 0.95, -0.2
"""Parts of the acceleration within a pair that those at its first key frame and the one before
predict."""
_NEWEST_ALONE = 0.75
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
    forth, back = _flows(motion, grid, image_size)
    forth_before, back_before = _flows(before, grid, image_size)
    _, back_earlier = paths_earlier = _flows(earlier, grid, image_size)
    trust_forth, trust_back = _trusts(forth, back, image_size)
    trust_forth_before, trust_back_before = _trusts(forth_before, back_before, image_size)
    _, trust_back_earlier = _trusts(*paths_earlier, image_size)
    lasted = durations[..., None, None, None]  # (b, 2, 1, 1, 1)
    is_there = (lasted > 0).to(motion.dtype)
    one = torch.ones_like(lasted[:, 0])
    last, earlier_still = torch.where(lasted > 0, lasted, 1.0).unbind(1)

    newest = _bend(back_before, last, forth, one)
    trust = trust_back_before * trust_forth * is_there[:, 0]
    old = _bend(back_earlier, earlier_still, forth_before, last)
    old_trust = trust_back_earlier * trust_forth_before * is_there[:, 1]
    old, old_trust = follow(torch.cat((old, old_trust), dim=1), back_before, image_size).split(
        (2, 1), dim=1
    )
    expected = torch.lerp(
        _NEWEST_ALONE * newest, _NEWEST * newest + _OLD * old, old_trust * trust_back_before
    )
    bend = trust * expected
    # What the second frame shows moves as the first one shows it where it comes from.
    bends = torch.stack((bend, trust_back * follow(bend, back, image_size)), dim=1)
    height, width = image_size
    squared = torch.zeros_like(motion[:, :, 0])
    squared[..., ::2] = rearrange(bends, "b pair xz h w -> b (pair h w) xz") * motion.new_tensor(
        (2 / width, -2 / height)
    )
    # The first frame's Gaussians arrive at time 1, the second's come from time -1.
    ahead, behind = squared.chunk(2, dim=1)
    return torch.stack((motion[:, :, 0] + torch.cat((-ahead, behind), dim=1), squared), dim=2)


def _flows(
    motion: Float[Tensor, "b n2 2 3"], grid: tuple[int, int], image_size: tuple[int, int]
) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b 2 h w"]]:
    """Return the flow from the first key frame to the second and back, in pixels."""
    height, width = image_size
    xz = motion[..., ::2] * motion.new_tensor((width / 2, -height / 2))
    first, second = rearrange(
        xz, "b (pair h w) k xz -> pair k b xz h w", pair=2, h=grid[0], w=grid[1]
    )
    return first[0] + first[1], second[1] - second[0]


def _trusts(
    forth: Float[Tensor, "b 2 h w"], back: Float[Tensor, "b 2 h w"], image_size: tuple[int, int]
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    """Return how well each place of either frame is met again by following both flows."""

    def trust(there: Tensor, back_again: Tensor) -> Tensor:
        miss = there + follow(back_again, there, image_size)
        return torch.exp(-miss.square().sum(dim=1, keepdim=True) / _MISMATCH_PX**2)

    return trust(forth, back), trust(back, forth)


def _bend(
    back: Float[Tensor, "b 2 h w"],
    duration_back: Float[Tensor, "b 1 1 1"],
    forth: Float[Tensor, "b 2 h w"],
    duration_forth: Float[Tensor, "b 1 1 1"],
) -> Float[Tensor, "b 2 h w"]:
    """Return half the acceleration of paths through three places, in pixels."""
    change = back / duration_back + forth / duration_forth
    return change / (duration_back + duration_forth)
