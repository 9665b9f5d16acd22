"""The dense prediction head of Depth Anything V2 (DPT, Ranftl et al. 2021, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.depth.config import DepthAnythingConfig

_LAST_CHANNELS = 32


class ResidualUnit(nn.Module):
    """``x + conv(relu(conv(relu(x))))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``x`` refined."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """Merge the path from below with a finer layer, and enlarge it.

    Args:
        channels: Channels of both.
        deepest: Whether there is no path from below; the layer then passes through alone.
    """

    def __init__(self, channels: int, *, deepest: bool) -> None:
        super().__init__()
        self.layer_unit = None if deepest else ResidualUnit(channels)
        self.merged_unit = ResidualUnit(channels)
        self.projection = nn.Conv2d(channels, channels, 1)

    def forward(
        self,
        layer: Float[Tensor, "b c h w"],
        path: Float[Tensor, "b c h w"] | None,
        size: tuple[int, int],
    ) -> Float[Tensor, "b c h2 w2"]:
        """Return the path for the next finer layer, whose height and width are ``size``."""
        if self.layer_unit is not None:
            layer = path + self.layer_unit(layer)
        return self.projection(_resize(self.merged_unit(layer), size))


class DepthHead(nn.Module):
    """From patch tokens at four depths of the transformer to one value a pixel."""

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = config.tap_channels
        width = config.head_width
        self.projections = nn.ModuleList(
            nn.Conv2d(config.embed_dim, c, 1) for c in config.tap_channels
        )
        # From the patch grid to 4, 2, 1 and half times its resolution.
        self.resamplers = nn.ModuleList(
            [
                nn.ConvTranspose2d(c1, c1, 4, stride=4),
                nn.ConvTranspose2d(c2, c2, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(c4, c4, 3, stride=2, padding=1),
            ]
        )
        self.adapters = nn.ModuleList(
            nn.Conv2d(c, width, 3, padding=1, bias=False) for c in (c1, c2, c3, c4)
        )
        self.fusions = nn.ModuleList(Fusion(width, deepest=level == 3) for level in range(4))
        self.narrow = nn.Conv2d(width, width // 2, 3, padding=1)
        self.predict = nn.Sequential(
            nn.Conv2d(width // 2, _LAST_CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_LAST_CHANNELS, 1, 1),
            nn.ReLU(),
        )

    def forward(
        self, tapped: Sequence[Float[Tensor, "b d rows columns"]], size: tuple[int, int]
    ) -> Float[Tensor, "b 1 h w"]:
        """Return relative inverse depth, at least 0, of the height and width ``size``.

        Args:
            tapped: Patch tokens of the four taps, shallow to deep.
            size: Height and width of the transformer's input.
        """
        layers = [
            adapter(resampler(projection(tokens)))
            for tokens, projection, resampler, adapter in zip(
                tapped, self.projections, self.resamplers, self.adapters, strict=True
            )
        ]
        path = None
        for level in (3, 2, 1, 0):
            h, w = layers[level].shape[-2:]
            finer = layers[level - 1].shape[-2:] if level else (2 * h, 2 * w)
            path = self.fusions[level](layers[level], path, finer)
        return self.predict(_resize(self.narrow(path), size))


def _resize(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
