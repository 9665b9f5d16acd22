"""Two key frames and the frames between them: the unit that methods are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from core.checks import UserError
from core.evaluation.data.clips import Clip, ClipFrame
from core.evaluation.data.images import as_tensor, at_network_size
from core.geometry.optical_flow import dis_flow


@dataclass(frozen=True)
class Pair:
    """``gap + 1`` consecutive frames, of which the first and the last are given.

    Places count them from 0; each frame of a clip is scored at most once for each gap.
    """

    clip: str
    """Name of the clip."""
    gap: int
    """Distance between the key frames."""
    frames: tuple[ClipFrame, ...]
    """The frames at their own size."""
    opens: bool
    """Whether no pair before it ends at its first key frame, which then is scored with it."""
    network_size: tuple[int, int]
    """Height and width of the truth, and of what most methods make."""
    device: torch.device
    """Where images are."""
    before: ClipFrame | None = None
    """The key frame one gap before the first one; None where the clip does not reach that far."""
    after: ClipFrame | None = None
    """The key frame one gap after the second one."""

    @property
    def places(self) -> list[int]:
        """Which frames are scored: all, but for a first one that belongs to the pair before."""
        return list(range(0 if self.opens else 1, self.gap + 1))

    @property
    def middle(self) -> list[int]:
        """The places strictly between the key frames."""
        return list(range(1, self.gap))

    @property
    def keys(self) -> list[int]:
        """The places of the key frames that are scored."""
        return [0, self.gap] if self.opens else [self.gap]

    def index(self, place: int) -> int:
        """Return the place of a frame in its clip."""
        return self.frames[place].index

    @cached_property
    def times(self) -> list[float]:
        """Pair time of each frame: 0 at the first key frame, 1 at the second."""
        stamps = np.array([frame.time for frame in self.frames])
        return ((stamps - stamps[0]) / (stamps[-1] - stamps[0])).tolist()

    @cached_property
    def truth(self) -> UInt8[Tensor, "t 3 h w"]:
        """The frames at the network's size, 8 bits."""
        images = torch.from_numpy(np.stack([frame.image for frame in self.frames]))
        return at_network_size(as_tensor(images.to(self.device)), self.network_size)

    @cached_property
    def forward_flow(self) -> Float[Tensor, "h w 2"]:
        """DIS optical flow from the first key frame to the second, pixels."""
        return dis_flow(self.truth[0], self.truth[-1])

    @cached_property
    def backward_flow(self) -> Float[Tensor, "h w 2"]:
        """DIS optical flow from the second key frame to the first, pixels."""
        return dis_flow(self.truth[-1], self.truth[0])

    @cached_property
    def step_flows(self) -> Float[Tensor, "g h w 2"]:
        """DIS optical flow from each frame to the next one, pixels."""
        return step_flows(self.truth)


def step_flows(images: UInt8[Tensor, "t 3 h w"]) -> Float[Tensor, "g h w 2"]:
    """Return the DIS optical flow from each image to the next one, pixels."""
    return torch.stack([dis_flow(a, b) for a, b in pairwise(images)])


def read_pair(
    clip: Clip,
    first: int,
    gap: int,
    *,
    opens: bool,
    network_size: tuple[int, int],
    device: torch.device,
) -> Pair:
    """Read the pair that begins at frame ``first``.

    Raises:
        UserError: If a frame cannot be read, or their times do not rise.
    """
    frames = clip.read(first, first + gap)
    before, after = (
        clip.read(key, key)[0] if 0 <= key < clip.num_frames else None
        for key in (first - gap, first + 2 * gap)
    )
    times = [frame.time for frame in (before, *frames, after) if frame is not None]
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise UserError(
            f"{clip.name}: the time stamps around frames {first} to {first + gap} do not rise; "
            "expected frames in order."
        )
    return Pair(clip.name, gap, tuple(frames), opens, network_size, device, before, after)
