"""What any reconstruction must be compared with: methods that have learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import UInt8
from torch import Tensor

from core.evaluation.data.images import as_bytes, as_floats
from core.evaluation.data.pair import Pair
from core.geometry.optical_flow import warp
from core.geometry.resample import resize

Images = Mapping[int, UInt8[Tensor, "3 h w"]]
"""Images by their place in the pair."""


def repeat(pair: Pair) -> Images:
    """Show the key frame that is nearer in time, the first one where both are as near."""
    return {j: pair.truth[0 if pair.times[j] <= 0.5 else -1] for j in pair.middle}


def blend(pair: Pair) -> Images:
    """Mix the key frames linearly in time."""
    keys = as_floats(pair.truth[[0, -1]])
    return {j: as_bytes(torch.lerp(keys[:1], keys[1:], pair.times[j]))[0] for j in pair.middle}


def flow(pair: Pair) -> Images:
    """Warp both key frames along the optical flow between them, and mix them linearly in time.

    Backward warping: at time ``t`` pixel ``x`` is ``(1 - t) first(x - t F01(x)) + t second(x -
    (1 - t) F10(x))``, F01 and F10 being DIS flow from either key frame to the other.
    """
    keys = as_floats(pair.truth[[0, -1]])
    flows = torch.stack([pair.forward_flow, pair.backward_flow])
    images = {}
    for j in pair.middle:
        time = pair.times[j]
        shares = flows.new_tensor([time, 1 - time])
        warped = warp(keys, -shares[:, None, None, None] * flows)
        images[j] = as_bytes(torch.lerp(warped[:1], warped[1:], time))[0]
    return images


def half_resolution(pair: Pair) -> Images:
    """Halve the key frames by area averages and enlarge them bicubically again."""
    height, width = pair.network_size
    keys = as_floats(pair.truth[pair.keys])
    again = as_bytes(resize(resize(keys, (height // 2, width // 2)), (height, width)))
    return dict(zip(pair.keys, again, strict=True))


BASELINES: dict[str, Callable[[Pair], Images]] = {
    "repeat": repeat,
    "blend": blend,
    "flow": flow,
    "half resolution": half_resolution,
}
"""By the names that tables use; the first three make the middle, the last one the key frames."""
