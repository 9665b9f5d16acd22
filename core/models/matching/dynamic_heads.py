"""Motion and opacity windows from what the matcher found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.models.matching.layers import ResidualPair, convolution
from core.models.matching.matcher import Matches, swap
from core.models.matching.sampling import FLOW_UNIT, cell_centers, double, follow
from core.models.matching.static_heads import FARTHEST, NEAREST
from core.types import TensorDataclass

_MISMATCH_UNIT = 4.0
"""Pixels between a place and where its flow forth and back leads that the head sees as 1."""
_SLOPE, _HALF_LIFE = 8.0, 0.55
"""Opacity window of an untrained network."""
_DEPTH_REACH = 0.1
"""How far the head may correct the inverse depth at which a Gaussian arrives."""
_RESIDUAL_REACH = 1.5
"""Pixels by which the head may correct the matched displacement."""
_HIDDEN_DEPTH_SHARE = 0.1
"""Share of its inverse depth that a Gaussian which is certainly hidden keeps."""
_KNOWN = 16
_GEOMETRY = 2 + 2 + 1 + 3 + 3 + 2
_OUTPUTS = 6


@dataclass(frozen=True)
class PairDynamics(TensorDataclass):
    """What ``b`` ordered pairs add to the static Gaussians of each first frame."""

    motion: Float[Tensor, "b n 1 3"]
    """Displacement until the other frame: canonical (x, inverse depth, z)."""
    opacity_slopes: Float[Tensor, "b n"]
    """Steepness of the opacity window."""
    opacity_half_lives: Float[Tensor, "b n"]
    """Its midpoint, in (0, 1)."""
    hidden: Float[Tensor, "b h2 w2"]
    """Logit of what a Gaussian shows being hidden in the other frame."""


class DynamicHeads(nn.Module):
    """Motion is the matched displacement and a residual; windows follow from what is visible.

    What is hidden in the other frame sinks away from the camera on its way there, so that what
    covers it lies before it. Inverse depth changes to that which the other frame shows at the
    matched place. Always in float32.

    Args:
        image_size: Height and width of the frames.
        state: Channels of the matcher's hidden state.
        width: Channels of the head.
    """

    def __init__(self, image_size: tuple[int, int], state: int, width: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.known = nn.Conv2d(state, _KNOWN, 1)
        self.mix = convolution(_KNOWN + _GEOMETRY, width)
        self.block = ResidualPair(width)
        self.values = convolution(width, _OUTPUTS)

    def forward(
        self,
        matches: Matches,
        colors: Float[Tensor, "b2 3 h2 w2"],
        inverse_depths: Float[Tensor, "b2 1 h2 w2"],
    ) -> PairDynamics:
        """Return the dynamics of all first frames, then of all second frames.

        Args:
            matches: From the matcher, in this order too.
            colors: Mean colours of the cells of the Gaussian grid.
            inverse_depths: Their inverse depths in (0, 1).
        """
        with torch.autocast(matches.flow.device.type, enabled=False):
            return self._in_float32(matches, colors, inverse_depths)

    def _in_float32(
        self,
        matches: Matches,
        colors: Float[Tensor, "b2 3 h2 w2"],
        inverse_depths: Float[Tensor, "b2 1 h2 w2"],
    ) -> PairDynamics:
        # Pictures teach no motion: their gradients reach only as far as a Gaussian is wide.
        flow = matches.flow.detach()
        shown = follow(
            swap(torch.cat((flow, colors, inverse_depths), dim=1)), flow, self.image_size
        )
        back, other_colors, other_depths = shown.split((2, 3, 1), dim=1)
        is_inside = self._is_inside(flow)
        # What leaves the frame does not take the depth of its border.
        other_depths = torch.where(is_inside, other_depths, inverse_depths)
        known = double(self.known(F.silu(matches.state.float())))
        geometry = (
            flow / FLOW_UNIT,
            ((flow + back) / _MISMATCH_UNIT).clamp(-4, 4),
            is_inside.to(flow.dtype),
            colors,
            other_colors - colors,
            inverse_depths,
            other_depths - inverse_depths,
        )
        x = torch.cat((known, *geometry), dim=1)
        values = self.values(F.silu(self.block(self.mix(x))))
        residual, nearer, slope, half_life, hidden = values.split((2, 1, 1, 1, 1), dim=1)
        motion = self._motion(
            flow + _RESIDUAL_REACH * residual.tanh(),
            inverse_depths,
            other_depths,
            _DEPTH_REACH * nearer.tanh(),
            hidden,
        )
        return PairDynamics(
            motion=rearrange(motion, "b xyz h w -> b (h w) 1 xyz"),
            opacity_slopes=F.softplus(slope + _SLOPE).flatten(1),
            opacity_half_lives=(half_life + _logit(_HALF_LIFE)).sigmoid().flatten(1),
            hidden=hidden[:, 0],
        )

    def _is_inside(self, flow: Float[Tensor, "b 2 h w"]) -> Bool[Tensor, "b 1 h w"]:
        """Return where a flow leads inside the frame."""
        height, width = self.image_size
        places = cell_centers((flow.shape[-2], flow.shape[-1]), self.image_size, flow.device) + flow
        u, v = places.unbind(1)
        return ((u >= 0) & (u <= width) & (v >= 0) & (v <= height))[:, None]

    def _motion(
        self,
        flow: Float[Tensor, "b 2 h w"],
        inverse_depths: Float[Tensor, "b 1 h w"],
        other_depths: Float[Tensor, "b 1 h w"],
        nearer: Float[Tensor, "b 1 h w"],
        hidden: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b 3 h w"]:
        height, width = self.image_size
        # Nothing sinks before it is more likely hidden than not.
        share = (2 * hidden.sigmoid() - 1).clamp_min(0)
        arrival = torch.lerp(other_depths, _HIDDEN_DEPTH_SHARE * inverse_depths, share) + nearer
        # A straight way between two valid inverse depths is valid all along.
        depth = arrival.clamp(FARTHEST, NEAREST) - inverse_depths
        u, v = flow.split(1, dim=1)
        return torch.cat((u * (2 / width), depth, v * (-2 / height)), dim=1)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
