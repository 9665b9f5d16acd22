"""Static Gaussians from the pixels themselves: one for each 2 by 2 pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.geometry.canonical import pixel_centers
from core.models.matching.feature_encoder import FrameFeatures
from core.models.matching.layers import ResidualPair, convolution
from core.models.matching.sampling import double
from core.rendering import render
from core.types import DynamicGaussians, TensorDataclass

STRIDE = 2
"""Side, in pixels, of what one Gaussian stands for."""
_OPACITY = 0.95
"""Opacity of every Gaussian at its anchor time."""
_HALF_LIFE = 0.5
_SCALE = 0.55
"""Standard deviation of an untrained network's Gaussians, in cells of the grid."""
_LOG_SCALE_REACH = 2.0
_OFFSET_REACH = 1.5
"""How far a centre may lie from that of its cell, in half cells."""
_DEPTH_REACH = 0.02
"""How far the pixels may move a Gaussian within the inverse depth of its place."""
NEAREST, FARTHEST = 0.999, 0.001
"""Inverse depths of Gaussians stay between them: 0 and 1 are the ends of what is valid."""
_COLOR_REACH = 0.5
"""How far a colour may lie from the mean of the pixels below it."""
_PAIRS_OF_A_GAUSSIAN = 36
"""Tiles of 16 by 16 pixels that the largest Gaussian can touch."""
_NUM_VALUES = 9
"""Offset (2), log-scales (2), colour (3), angle, and place within the inverse depth."""


class PixelHead(nn.Module):
    """Convolutions on the pixels; gives the values of each Gaussian and the features behind them.

    Args:
        in_width: Channels of the input on the Gaussian grid.
        width: Channels of the features.
        blocks: Residual pairs.
    """

    def __init__(self, in_width: int, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = convolution(in_width, width)
        self.blocks = nn.Sequential(*(ResidualPair(width) for _ in range(blocks)))
        self.values = convolution(width, _NUM_VALUES)

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b v h w"], Float[Tensor, "b d h w"]]:
        """Return the values of the Gaussians and the features."""
        features = self.blocks(self.stem(x))
        return self.values(F.silu(features)), features


class DepthHead(nn.Module):
    """Inverse depth of the Gaussian grid from the features of the whole frame.

    Args:
        widths: Channels of the features at a quarter, an eighth and a sixteenth.
    """

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.at_sixteenth = convolution(sixteenth, eighth)
        self.at_eighth = nn.Sequential(nn.SiLU(), convolution(eighth, quarter))
        self.eighth_skip = nn.Conv2d(eighth, eighth, 1)
        self.quarter_skip = nn.Conv2d(quarter, quarter, 1)
        self.at_quarter = nn.Sequential(nn.SiLU(), convolution(quarter, quarter // 2), nn.SiLU())
        self.logits = convolution(quarter // 2, 4)

    def forward(self, features: FrameFeatures) -> Float[Tensor, "b 1 h2 w2"]:
        """Return the inverse depth, in (0, 1), at half the frame's size."""
        x = double(self.at_sixteenth(features.sixteenth)) + self.eighth_skip(features.eighth)
        x = double(self.at_eighth(x)) + self.quarter_skip(features.quarter)
        logits = F.pixel_shuffle(self.logits(self.at_quarter(x)), 2).float()
        # The four cells of a quarter come from different channels, whose means differ.
        return F.avg_pool2d(logits, 3, stride=1, padding=1, count_include_pad=False).sigmoid()


@dataclass(frozen=True)
class CorrectedGaussians(TensorDataclass):
    """Static Gaussians of frames, before and after their picture was compared with the frame."""

    first: DynamicGaussians
    """Before; for the loss alone."""
    final: DynamicGaussians
    """After."""


class StaticHeads(nn.Module):
    """One Gaussian for each 2 by 2 pixels of a frame.

    The values come from the pixels through convolutions. Their picture is rendered and compared
    with the frame, and a second head of the same kind corrects them once: what overlapping
    neighbours add up to is known only when they are drawn. Inverse depth is that of the depth map
    where there is one, and the depth head's otherwise. All but the depth head is in float32.

    Args:
        grid: Rows and columns of the Gaussians.
        first: Head on the pixels.
        correction: Head on the pixels, the errors of the first picture, and the first features.
        depth: Head for frames without a depth map.
    """

    x_map: Tensor
    z_map: Tensor
    cell: Tensor

    def __init__(
        self, grid: tuple[int, int], first: PixelHead, correction: PixelHead, depth: DepthHead
    ) -> None:
        super().__init__()
        self.grid = grid
        self.first = first
        self.correction = correction
        self.depth = depth
        x_map, z_map = pixel_centers(*grid)
        self.register_buffer("x_map", x_map.contiguous(), persistent=False)
        self.register_buffer("z_map", z_map.contiguous(), persistent=False)
        self.register_buffer("cell", torch.tensor((2 / grid[1], 2 / grid[0])), persistent=False)

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        inverse_depths: Float[Tensor, "b 1 h w"],
        features: FrameFeatures,
    ) -> CorrectedGaussians:
        """Return Gaussians that neither move nor fade, anchored at time 0, row-major.

        Args:
            images: RGB in [0, 1].
            inverse_depths: Relative inverse depth in [0, 1]; zeros where there is none.
            features: Features of the same frames.
        """
        depths = self._inverse_depths(inverse_depths, features)
        with torch.autocast(images.device.type, enabled=False):
            return self.at_depths(images, depths)

    def at_depths(
        self, images: Float[Tensor, "b 3 h w"], depths: Float[Tensor, "b 1 h2 w2"]
    ) -> CorrectedGaussians:
        """Return Gaussians as :meth:`forward` does, at known inverse depths, in float32."""
        colors = F.avg_pool2d(images, STRIDE)
        centred = 2 * F.pixel_unshuffle(images, STRIDE) - 1  # (b, 12, h/2, w/2)
        values, inner = self.first(centred)
        first = self._gaussians(values, colors, depths)
        with torch.no_grad():
            errors = F.pixel_unshuffle(images - self._draw(first), STRIDE)
        change, _ = self.correction(torch.cat((centred, 4 * errors, inner), dim=1))
        return CorrectedGaussians(first, self._gaussians(values + change, colors, depths))

    def _inverse_depths(
        self, given: Float[Tensor, "b 1 h w"], features: FrameFeatures
    ) -> Float[Tensor, "b 1 h2 w2"]:
        is_given = given.flatten(1).amax(dim=1)[:, None, None, None] > 0
        return torch.where(is_given, F.avg_pool2d(given, STRIDE), self.depth(features))

    def _draw(self, gaussians: DynamicGaussians) -> Float[Tensor, "b 3 h w"]:
        """Render frames by themselves, without the host having to wait."""
        batch, count = gaussians.means.shape[:2]
        times = gaussians.means.new_zeros(batch, 1)
        size = (self.grid[0] * STRIDE, self.grid[1] * STRIDE)
        room = batch * count * _PAIRS_OF_A_GAUSSIAN if gaussians.means.is_cuda else None
        return render(gaussians, times, size, max_pairs=room).rgb[:, 0]

    def _gaussians(
        self,
        values: Float[Tensor, "b v h2 w2"],
        colors: Float[Tensor, "b 3 h2 w2"],
        inverse_depths: Float[Tensor, "b 1 h2 w2"],
    ) -> DynamicGaussians:
        offsets, log_scales, residual, angles, places = values.split((2, 2, 3, 1, 1), dim=1)
        offsets = _OFFSET_REACH / 2 * offsets.tanh() * self.cell[:, None, None]
        x, z = self.x_map + offsets[:, 0], self.z_map + offsets[:, 1]
        depths = inverse_depths + _DEPTH_REACH * places.tanh()
        depths = depths.clamp(FARTHEST, NEAREST)[:, 0]
        reach = _LOG_SCALE_REACH * (log_scales / _LOG_SCALE_REACH).tanh()
        scale_x, scale_z = (_SCALE * self.cell[:, None, None] * reach.exp()).unbind(1)
        half = angles[:, 0] * (math.pi / 4)
        zeros = torch.zeros_like(x)
        colors = (colors + _COLOR_REACH * residual.tanh()).clamp(0, 1)

        def rows(*planes: Tensor) -> Tensor:
            return torch.stack(planes, dim=-1).flatten(1, 2)  # (b, n, c)

        flat = zeros.flatten(1)
        return DynamicGaussians(
            means=rows(x, depths, z),
            motion=flat.new_zeros(*flat.shape, 0, 3),
            scales=rows(scale_x, (scale_x + scale_z) / 2, scale_z),
            quats=rows(half.cos(), zeros, half.sin(), zeros),
            colors=rearrange(colors, "b c h w -> b (h w) c"),
            opacities=torch.full_like(flat, _OPACITY),
            opacity_slopes=flat,
            opacity_half_lives=torch.full_like(flat, _HALF_LIFE),
            anchor_times=flat,
        )
