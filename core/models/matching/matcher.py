"""Two-way flow between two frames: global matching, then refinement at two resolutions.

Global matching by a softmax over all pairs: Xu et al., GMFlow (2022). Look-ups in a correlation
pyramid and convex upsampling: Teed and Deng, RAFT (2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.blocks import CrossAttention, FeedForward, RMSNorm, SelfAttention
from core.models.matching.feature_encoder import FrameFeatures
from core.models.matching.layers import ResidualPair, convolution
from core.models.matching.sampling import (
    FLOW_UNIT,
    cell_centers,
    double,
    double_convex,
    follow,
)
from core.types import TensorDataclass

_RADIUS = 3
"""Reach of a look-up in each level of the correlation pyramid, in its cells."""
_LEVELS = 2
LOOK_UPS = _LEVELS * (2 * _RADIUS + 1) ** 2


@dataclass(frozen=True)
class Matches(TensorDataclass):
    """Flow of ``b`` ordered pairs of frames."""

    flow: Float[Tensor, "b 2 h2 w2"]
    """From each frame to the other, in pixels (u, v), at half the frame's size."""
    state: Float[Tensor, "b c h4 w4"]
    """The last refinement's hidden state, at a quarter of it."""


class MatchingBlock(nn.Module):
    """Self-attention, cross-attention to the other frame, feed-forward; pre-norm, float32."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.self_norm = RMSNorm(width)
        self.self_attention = SelfAttention(width, head_width)
        self.cross_norm = RMSNorm(width)
        self.cross_attention = CrossAttention(width, head_width)
        self.mlp_norm = RMSNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, x: Float[Tensor, "b2 l d"]) -> Float[Tensor, "b2 l d"]:
        """Update the tokens of all first frames, followed by those of all second frames."""
        x = x + self.self_attention(self.self_norm(x))
        normed = self.cross_norm(x)
        x = x + self.cross_attention(normed, swap(normed))
        return x + self.mlp(self.mlp_norm(x))


class Refinement(nn.Module):
    """Corrects a flow by what is known where it leads.

    Args:
        seen: Channels of what is seen there.
        own: Channels of the features of the frame itself.
        width: Channels of the hidden state.
        updates: Corrections one after the other.
    """

    def __init__(self, seen: int, own: int, width: int, updates: int) -> None:
        super().__init__()
        self.updates = updates
        self.seen = nn.Conv2d(seen, width, 1)
        self.mix = convolution(2 * width + own + 2, width)
        self.update = ResidualPair(width)
        self.correction = convolution(width, 2)

    def forward(
        self,
        flow: Float[Tensor, "b 2 h w"],
        hidden: Float[Tensor, "b c h w"],
        seen: Float[Tensor, "b s h w"],
        own: Float[Tensor, "b o h w"],
    ) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b c h w"]]:
        """Return the corrected flow, float32, and the new hidden state."""
        known = (self.seen(seen), hidden, own, (flow / FLOW_UNIT).to(own.dtype))
        hidden = hidden + self.update(self.mix(torch.cat(known, dim=1)))
        return flow + self.correction(F.silu(hidden)).float(), hidden


class Matcher(nn.Module):
    """From the features of two frames to the flow from each to the other.

    Args:
        image_size: Height and width of the frames.
        blocks: Attention at a sixteenth.
        at_eighth: Refinement by look-ups in the correlation of all pairs at an eighth.
        at_quarter: Refinement by the other frame's features at a quarter.
        widths: Channels of the features at a quarter, an eighth and a sixteenth.
        hidden: Channels of the hidden states at a quarter and at an eighth.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        blocks: nn.ModuleList,
        at_eighth: Refinement,
        at_quarter: Refinement,
        widths: tuple[int, int, int],
        hidden: tuple[int, int],
    ) -> None:
        super().__init__()
        _, eighth, sixteenth = widths
        self.image_size = image_size
        self.blocks = blocks
        self.norm = RMSNorm(sixteenth)
        self.at_eighth = at_eighth
        self.at_quarter = at_quarter
        self.start_eighth = nn.Conv2d(sixteenth, hidden[1], 1)
        self.start_quarter = nn.Conv2d(hidden[1], hidden[0], 1)
        self.eighth_features = nn.Conv2d(eighth, eighth, 1)
        self.upsampling = convolution(hidden[0], 36)

    def forward(self, both: FrameFeatures) -> tuple[Matches, list[Float[Tensor, "b2 2 h w"]]]:
        """Match pairs of frames.

        Args:
            both: Features of all first frames, followed by those of all second frames.

        Returns:
            The matches of all first frames, then of all second frames; and all flows,
            from coarse to fine, for the loss.
        """
        coarse, tokens = self._match_globally(both.sixteenth)
        flows = [coarse]
        flow = double(coarse.detach())
        hidden = double(self.start_eighth(tokens))
        pyramid = self._correlate(self.eighth_features(both.eighth).float())
        for _ in range(self.at_eighth.updates):
            seen = look_up(pyramid, flow.detach(), self.image_size).to(hidden.dtype)
            flow, hidden = self.at_eighth(flow.detach(), hidden, seen, both.eighth)
            flows.append(flow)
        flow = double(flow)
        hidden = double(self.start_quarter(hidden))
        others = swap(both.quarter)
        for _ in range(self.at_quarter.updates):
            seen = follow(others, flow.detach(), self.image_size)
            flow, hidden = self.at_quarter(flow.detach(), hidden, seen, both.quarter)
            flows.append(flow)
        fine = double_convex(flow, self.upsampling(F.silu(hidden)))
        flows.append(fine)
        return Matches(fine, hidden), flows

    def _match_globally(
        self, features: Float[Tensor, "b2 c h w"]
    ) -> tuple[Float[Tensor, "b2 2 h w"], Float[Tensor, "b2 c h w"]]:
        rows, columns = features.shape[-2:]
        tokens = rearrange(features, "b c h w -> b (h w) c").float()
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        centers = cell_centers((rows, columns), self.image_size, features.device).flatten(1)
        # Half precision would round places to pixels.
        with torch.autocast(features.device.type, enabled=False):
            similarity = tokens @ swap(tokens).mT / tokens.shape[-1] ** 0.5  # (2b, n, m)
            arrivals = similarity.softmax(dim=-1) @ centers.mT  # (2b, n, 2)
        flow = rearrange(arrivals.mT - centers, "b uv (h w) -> b uv h w", h=rows, w=columns)
        return flow, rearrange(tokens, "b (h w) c -> b c h w", h=rows, w=columns)

    def _correlate(self, features: Float[Tensor, "b2 c h w"]) -> list[Tensor]:
        """Return the similarity of all pairs of places, with a level of half the resolution."""
        first, second = features.chunk(2)
        scale = features.shape[1] ** -0.5
        volume = einsum(first, second, "b c h w, b c y x -> b h w y x") * scale
        volume = torch.cat((volume, rearrange(volume, "b h w y x -> b y x h w")))
        fine = rearrange(volume, "b h w y x -> (b h w) 1 y x")
        return [fine, F.avg_pool2d(fine, 2)]


def look_up(
    pyramid: list[Float[Tensor, "bhw 1 y x"]],
    flow: Float[Tensor, "b 2 h w"],
    image_size: tuple[int, int],
) -> Float[Tensor, "b k h w"]:
    """Return the similarities around where the flow leads, for each level of the pyramid."""
    rows, columns = flow.shape[-2:]
    u, v = (cell_centers((rows, columns), image_size, flow.device) + flow).unbind(1)
    steps = torch.arange(-_RADIUS, _RADIUS + 1, device=flow.device, dtype=flow.dtype)
    found: list[Tensor] = []
    for volume in pyramid:
        x = (u / image_size[1]).flatten()[:, None, None] + steps / volume.shape[-1]
        y = (v / image_size[0]).flatten()[:, None, None] + steps[:, None] / volume.shape[-2]
        grid = torch.stack(torch.broadcast_tensors(x, y), dim=-1) * 2 - 1
        found.append(F.grid_sample(volume, grid, align_corners=False).flatten(1))
    return rearrange(torch.cat(found, dim=1), "(b h w) k -> b k h w", h=rows, w=columns)


def swap(both: Float[Tensor, "b2 *rest"]) -> Float[Tensor, "b2 *rest"]:
    """Exchange the first frames and the second frames."""
    return torch.cat(both.chunk(2)[::-1])
