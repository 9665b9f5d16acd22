"""Configuration of the small networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.models.matching.static_heads import STRIDE
from core.models.options import LARGEST, ModelOptions

_COARSEST = 16
"""Pixels a side of the coarsest features."""
_SIZES = (
    "image_height",
    "image_width",
    "pixel_width",
    "pixel_blocks",
    "head_width",
    "encoder_layers",
    "matcher_layers",
    "dynamics_width",
)


@dataclass(frozen=True)
class MatchingConfig(ModelOptions):
    """Sizes of a network of convolutions and an explicit matcher; the default is ``tiny``."""

    image_height: int = 288
    """Height of the input frames in pixels."""
    image_width: int = 512
    """Width of the input frames in pixels."""
    pixel_width: int = 48
    """Channels of the static heads, on the grid of one Gaussian for 2 by 2 pixels."""
    pixel_blocks: int = 2
    """Residual pairs of each of the two static heads."""
    feature_widths: tuple[int, ...] = (64, 96, 128)
    """Channels of a frame's features at a quarter, an eighth and a sixteenth of its size."""
    head_width: int = 32
    """Channels of one attention head."""
    encoder_layers: int = 2
    """Blocks of self-attention at a sixteenth, once a frame."""
    matcher_layers: int = 3
    """Blocks of self- and cross-attention at a sixteenth, once a pair."""
    updates: tuple[int, ...] = (2, 2)
    """Refinements of the flow at a quarter and at an eighth."""
    refinement_widths: tuple[int, ...] = (48, 96)
    """Channels of the refinements' hidden states at a quarter and at an eighth."""
    dynamics_width: int = 32
    """Channels of the head of motion and opacity windows."""

    def _conditions(self) -> Iterator[tuple[bool, str, str]]:
        for name in _SIZES:
            yield 1 <= getattr(self, name) <= LARGEST, name, f"a number from 1 to {LARGEST}"
        for name in ("image_height", "image_width"):
            multiple = f"a multiple of {_COARSEST}"
            yield getattr(self, name) % _COARSEST == 0, name, multiple
        for name, length in (("feature_widths", 3), ("updates", 2), ("refinement_widths", 2)):
            values = getattr(self, name)
            expected = f"{length} numbers from 1 to {LARGEST}"
            fits = len(values) == length and min(values) >= 1 and max(values) <= LARGEST
            yield fits, name, expected
        widths = self.feature_widths
        by_head = f"a last width divisible by head_width {self.head_width}"
        yield widths[-1] % self.head_width == 0, "feature_widths", by_head
        yield all(width % 4 == 0 for width in widths), "feature_widths", "multiples of 4"

    @property
    def use_dino(self) -> bool:
        """Whether DINOv2 is needed: never."""
        return False

    @property
    def largest_map(self) -> int:
        """Values of the largest table that the network holds beside its weights."""
        return self.num_gaussians

    @property
    def num_layers(self) -> int:
        """Layers of which each has parameters of its own."""
        return self.pixel_blocks + self.encoder_layers + self.matcher_layers

    @property
    def gaussian_grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's Gaussians."""
        return self.image_height // STRIDE, self.image_width // STRIDE

    @property
    def coarse_grid(self) -> tuple[int, int]:
        """Rows and columns of the coarsest features."""
        return self.image_height // _COARSEST, self.image_width // _COARSEST
