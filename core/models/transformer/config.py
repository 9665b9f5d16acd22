"""Everything that distinguishes one transformer from another; the default is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.models.options import LARGEST, ModelOptions

DINO_WIDTH = 768
"""Width of the tokens of DINOv2 ViT-B."""
DINO_PATCH_SIZE = 14
_PIXELS_PER_DINO_PATCH = 16
_SIZES = (
    "image_height",
    "image_width",
    "patch_size",
    "width",
    "head_width",
    "encoder_layers",
    "decoder_layers",
    "window",
    "motion_degree",
)


@dataclass(frozen=True)
class StreamSplatConfig(ModelOptions):
    """Sizes and options of a network; the default is the published one."""

    image_height: int = 288
    """Height of the input frames in pixels."""
    image_width: int = 512
    """Width of the input frames in pixels."""
    patch_size: int = 8
    """Side of the square patch of pixels that becomes one token."""
    width: int = 768
    """Channels of the tokens of encoder and decoder."""
    head_width: int = 64
    """Channels of one attention head, everywhere."""
    encoder_layers: int = 10
    """Blocks of the static encoder."""
    decoder_layers: int = 10
    """Blocks of the dynamic decoder."""
    upsampler_widths: tuple[int, ...] = (384, 192)
    """Channels after each upsampler level; every level doubles the token grid's sides."""
    window: int = 2304
    """Tokens that attend to one another in the upsamplers, a run of the row-major sequence."""
    motion_degree: int = 1
    """Degree of the motion polynomials (``forder``)."""
    use_dino: bool = True
    """Condition the decoder on DINOv2 tokens of the other frame instead of its encoder tokens."""
    dino_normalize: bool = False
    """Feed DINOv2 with frames normalised by ImageNet's mean and deviation.

    The published weights were trained without, so this stays false for them."""

    def _conditions(self) -> Iterator[tuple[bool, str, str]]:
        for name in _SIZES:
            holds = 1 <= getattr(self, name) <= LARGEST
            yield holds, name, f"a number from 1 to {LARGEST}"
        widths = self.upsampler_widths
        holds = 1 <= min(widths, default=0) <= max(widths, default=0) <= LARGEST
        yield holds, "upsampler_widths", f"one or more widths from 1 to {LARGEST}"
        patch, factor, head = self.patch_size, self.upsampling, self.head_width
        for name in ("image_height", "image_width"):
            yield getattr(self, name) % patch == 0, name, f"a multiple of patch_size {patch}"
        levels = f"{len(widths)} levels in upsampler_widths"
        yield patch % factor == 0, "patch_size", f"a multiple of {factor}, the factor of {levels}"
        by_head = f"divisible by head_width {head}"
        yield self.width % head == 0, "width", f"a number {by_head}"
        yield all(width % head == 0 for width in widths), "upsampler_widths", f"numbers {by_head}"
        yield self.width % 2 == 0, "width", "an even number (sine and cosine pairs)"
        first_grid = 4 * self.num_tokens
        divisor = f"an even divisor of the first upsampled grid's {first_grid} tokens"
        yield self.window % 2 == 0 and first_grid % self.window == 0, "window", divisor
        if self.use_dino:
            multiple = f"a multiple of {_PIXELS_PER_DINO_PATCH} when use_dino is set"
            for name in ("image_height", "image_width"):
                yield getattr(self, name) % _PIXELS_PER_DINO_PATCH == 0, name, multiple
        yield self.use_dino or not self.dino_normalize, "dino_normalize", "false without use_dino"

    @property
    def num_layers(self) -> int:
        """Transformer blocks, of which each has parameters of its own."""
        return self.encoder_layers + self.decoder_layers

    @property
    def largest_map(self) -> int:
        """Values of the largest table that the network holds beside its weights."""
        return max(self.num_tokens * self.width, self.num_gaussians)

    @property
    def upsampling(self) -> int:
        """How many times finer, a side, the Gaussian grid is than the token grid."""
        return 2 ** len(self.upsampler_widths)

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the encoder's tokens."""
        return self.image_height // self.patch_size, self.image_width // self.patch_size

    @property
    def num_tokens(self) -> int:
        """Encoder tokens of a frame."""
        return self.token_grid[0] * self.token_grid[1]

    @property
    def gaussian_grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's Gaussians."""
        return self.token_grid[0] * self.upsampling, self.token_grid[1] * self.upsampling

    @property
    def dino_grid(self) -> tuple[int, int]:
        """Rows and columns of DINOv2's patch tokens: one for 16 by 16 input pixels."""
        return (
            self.image_height // _PIXELS_PER_DINO_PATCH,
            self.image_width // _PIXELS_PER_DINO_PATCH,
        )

    @property
    def dino_image_size(self) -> tuple[int, int]:
        """Height and width to which frames are resized for DINOv2."""
        return self.dino_grid[0] * DINO_PATCH_SIZE, self.dino_grid[1] * DINO_PATCH_SIZE

    @property
    def num_condition_tokens(self) -> int:
        """Tokens of one frame to which the other frame attends."""
        return self.dino_grid[0] * self.dino_grid[1] if self.use_dino else self.num_tokens

    @property
    def condition_width(self) -> int:
        """Channels of those tokens before their projection to ``width``."""
        return DINO_WIDTH if self.use_dino else self.width
